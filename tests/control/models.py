"""Models small enough to be compiled in a moment."""

import tarfile
from io import BytesIO

import numpy as np
import onnx


def tiny_model() -> bytes:
    """A model.tar.gz with one matrix product in it, as ONNX."""
    weight = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "weight")
    shapes = (("data", ["batch", 4]), ("out", ["batch", 3]))
    given, out = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes)
    node = onnx.helper.make_node("MatMul", ["data", "weight"], ["out"])
    graph = onnx.helper.make_graph([node], "tiny", [given], [out], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("model.onnx")
        member.size = len(content := model.SerializeToString())
        archive.addfile(member, BytesIO(content))
    return packed.getvalue()
