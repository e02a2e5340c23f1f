"""ONNX files of others: taken as they are, raised to a newer opset, or refused in words that help."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.compiler import targets
from darkroom.compiler.errors import CompileError
from darkroom.compiler.importers import onnx as importer
from darkroom.compiler.inputs import Input
from darkroom.compiler.options import Options
from darkroom.compiler.package import compile_model
from darkroom.runtimes import artifact, registry
from darkroom.runtimes.base import Settings

IMAGE = Input("x", (None, 2, 6, 6))


def network(opset: int = 17, batch: object = "n", **changes: object) -> onnx.ModelProto:
    """float (n, 2, 6, 6) → softmax (n, 3), after a convolution with batch normalisation; no node has a name."""
    random = np.random.default_rng(0)
    shapes = {"w": (4, 2, 3, 3), "s": 4, "b": 4, "m": 4, "v": 4, "f": (3, 4), "g": 3}
    arrays = {name: random.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["l"]),
        helper.make_node("Gemm", ["l", "f", "g"], ["z"], transB=1),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    kind = changes.get("kind", TensorProto.FLOAT)
    given = helper.make_tensor_value_info("x", kind, [batch, 2, 6, 6])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])]
    outputs += [helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, 3])] if changes.get("two") else []
    kept = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net", [given], outputs, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answers(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": images})[0]


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(3)
    return (random.random((32, 2, 6, 6)) * random.uniform(0, 3, (32, 1, 1, 1))).astype(np.float32)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_a_file_answers_as_before(tmp_path, images, opset):
    onnx.save(network(opset), tmp_path / "net.onnx")
    model = importer.load(tmp_path, [IMAGE])
    np.testing.assert_allclose(answers(model, images), answers(network(), images), atol=1e-6)
    assert all(node.name for node in model.graph.node)
    assert model.opset_import[0].version >= importer.LEAST_OPSET


def test_it_is_compiled_to_int8_by_arrays(tmp_path, images):
    """A model that takes no photos is calibrated on .npy files, and answers arrays."""
    (tmp_path / "model").mkdir()
    onnx.save(network(), tmp_path / "model" / "net.onnx")
    npy = [npy_bytes(row) for row in images]
    config = '{"x": [1, 2, 6, 6]}'
    compile_model(
        tmp_path / "model",
        targets.this_machine(),
        Options("int8"),
        npy,
        None,
        into=tmp_path / "out",
        data_input_config=config,
    )
    compiled = artifact.read(tmp_path / "out")
    assert (compiled.framework, compiled.precisions) == ("ONNX", {"int8": 2, "float": 0})
    assert compiled.input == artifact.Tensor("x", "float32", (None, 2, 6, 6))
    for name in ("openvino", "onnxruntime"):  # our own takes photos
        _, model = registry.load(tmp_path / "out", Settings(threads=1), [name])
        np.testing.assert_allclose(model.predict(images), answers(network(), images), atol=0.02)


def npy_bytes(array: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_batch_that_the_graph_fixes_stays(tmp_path):
    onnx.save(network(batch=4), tmp_path / "net.onnx")
    assert importer.load(tmp_path, [IMAGE]).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4


@pytest.mark.parametrize(
    ("model", "image", "reason"),
    [
        (network(), Input("y", IMAGE.shape), r"names y \[None, 2, 6, 6\]; net\.onnx has the input 'x'"),
        (network(), Input("x", (None, 2, 7, 6)), r"says \[None, 2, 7, 6\] for 'x'; net\.onnx says \[None, 2, 6, 6\]"),
        (network(kind=TensorProto.DOUBLE), IMAGE, "takes DOUBLE; expected FLOAT"),
        (network(two=True), IMAGE, r"has 2 outputs \(y, z\); models of one output"),
    ],
)
def test_what_does_not_fit_is_shown(tmp_path, model, image, reason):
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(CompileError, match=reason):
        importer.load(tmp_path, [image])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it has 0 bytes"),
        (b"\x80\x04cos\nsystem\n(X\x02\x00\x00\x00idtR.", "no ONNX model|ends before"),
        (network().SerializeToString()[:200], "ends before its data does"),
    ],
)
def test_bytes_that_are_none_are_refused(tmp_path, data, reason):
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(CompileError, match=reason):
        importer.load(tmp_path, [IMAGE])


def test_weights_of_a_wrong_shape_are_found(tmp_path):
    model = network()
    model.graph.initializer[0].dims[1] = 9
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(CompileError, match=r"net\.onnx is not a valid model"):
        importer.load(tmp_path, [IMAGE])


def test_two_files_are_listed(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).touch()
    with pytest.raises(CompileError, match=r"expected one \.onnx file, found 2; the model holds: a\.onnx, b\.onnx"):
        importer.load(tmp_path, [IMAGE])
