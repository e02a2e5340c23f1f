"""What our own kernels do not do, and what no graph should say: each is one sentence, and none reaches the kernels."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.runtimes import artifact, native, onnx_graph, registry
from darkroom.runtimes.artifact import Compiled, Tensor
from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import chains
from darkroom.runtimes.native.simplify import simplify
from darkroom.testing.runtime_contract import CLASSES, ONE, SIDE, model, photos, write

ROUNDING = (("Quantize", "r", "rq"), ("Dequantize", "rq", "rd"))
pytestmark = pytest.mark.skipif(not native.able(), reason=native.NEEDS)


def constant(name: str, values: object, dtype: object = np.float32) -> Callable[[onnx.ModelProto], None]:
    """The constant is another."""

    def change(proto: onnx.ModelProto) -> None:
        (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, dtype), name))

    return change


def node(kind: str, **attributes: object) -> Callable[[onnx.ModelProto], None]:
    """A node says something else."""

    def change(proto: onnx.ModelProto) -> None:
        (found,) = (n for n in proto.graph.node if n.op_type == kind)
        kept = [a for a in found.attribute if a.name not in attributes]
        del found.attribute[:]
        found.attribute.extend(kept + [helper.make_attribute(*pair) for pair in attributes.items()])

    return change


def both(*changes: Callable[[onnx.ModelProto], None]) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        for each in changes:
            each(proto)

    return change


def instead(kind: str, other: str, **attributes: object) -> Callable[[onnx.ModelProto], None]:
    """A node is another."""

    def change(proto: onnx.ModelProto) -> None:
        place, found = next((k, n) for k, n in enumerate(proto.graph.node) if n.op_type == kind)
        proto.graph.node[place].CopyFrom(helper.make_node(other, found.input[:1], found.output, **attributes))

    return change


def short(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-1]


def rounded(proto: onnx.ModelProto) -> None:
    """The mean is one of bytes."""
    pair = [helper.make_node(f"{kind}Linear", [a, "x_scale", "x_zero"], [b]) for kind, a, b in ROUNDING]
    nodes = [*proto.graph.node[:7], *pair, *proto.graph.node[7:]]
    nodes[9].input[0] = "rd"
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def both_ways(proto: onnx.ModelProto) -> None:
    """Two normalisations of one sum, and the sum itself: three forms."""
    nodes = list(proto.graph.node)
    for name in ("n1", "n2"):
        nodes.insert(6, helper.make_node("QuantizeLinear", ["c", f"{name}_scale", "x_zero"], [name]))
        nodes.append(helper.make_node("DequantizeLinear", [name, f"{name}_scale", "x_zero"], [f"{name}d"]))
        nodes.append(helper.make_node("GlobalAveragePool", [f"{name}d"], [f"{name}g"]))
        proto.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), f"{name}_scale"))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


REFUSED = {
    "groups": (node("Conv", group=3), "groups, gaps"),
    "gaps": (node("Conv", dilations=[2, 2]), "groups, gaps"),
    "one dimension": (node("Conv", strides=[1]), "not two dimensions"),
    "strides of nothing": (node("Conv", strides=[0, 1]), r"a window of \(3, 3, 0, 1\)"),
    "strides backwards": (node("Conv", strides=[-1, -1]), "has a window of"),
    "strides that overflow": (node("Conv", strides=[1 << 40, 1]), "has a window of"),
    "pads that fill the memory": (node("Conv", pads=[1 << 18] * 4), "has a window of"),
    "pads that nearly do": (node("Conv", pads=[1 << 13] * 4), "computes a tensor of shape"),
    "pads that overflow": (node("Conv", pads=[1 << 63 - 1] * 4), "has a window of"),
    "negative pads": (node("Conv", pads=[-1, 0, 0, 0]), "has a window of"),
    "pads without end": (node("Conv", pads=[1] * 7), "has a window of"),
    "pads of its own": (node("Conv", auto_pad="SAME_UPPER"), "leaves its pads to the engine"),
    "another kernel": (node("Conv", kernel_shape=[5, 5]), "says another kernel than its weights have"),
    "a text for a number": (node("Conv", group="1"), "the attribute 'group' of its Conv"),
    "a larger kernel": (constant("w", np.ones((6, 3, 13, 13)), np.int8), "another kernel"),
    "a kernel beyond the photo": (
        both(node("Conv", kernel_shape=[13, 13]), constant("w", np.ones((6, 3, 13, 13)), np.int8)),
        "finds no window in 10 x 10 pixels",
    ),
    "sums that overflow": (constant("w", np.ones((6, 3, 200, 200)), np.int8), "sums up 120000 products"),
    "other channels": (constant("w", np.ones((6, 4, 3, 3)), np.int8), "of 3 channels has weights of shape"),
    "no outputs": (constant("w", np.ones((0, 3, 3, 3)), np.int8), "has weights of int8"),
    "unsigned weights": (constant("w", np.ones((6, 3, 3, 3)), np.uint8), "has weights of uint8"),
    "weights around another zero": (constant("w_zero", np.ones(6), np.int8), "expected int8 around zero"),
    "scales for others": (constant("w_scale", np.ones(5)), "has 5 scales for 6 outputs"),
    "a scale that is no number": (constant("w_scale", np.full(6, np.nan)), "scales that are no numbers"),
    "a scale beyond float32": (both(constant("w_scale", [3e38] * 6), constant("x_scale", 2.0)), "leave the range"),
    "a scale beyond 32 bits": (both(constant("w_scale", [1e9] * 6), rounded), "leave the range of 32 bits"),
    "two tensors for one": (lambda proto: proto.graph.node[6].input.append("d"), "its Relu takes 2 tensors"),
    "zeros for others": (constant("w_zero", np.zeros(5), np.int8), "expected int8 around zero"),
    "a weight cut off": (short, "has 161 bytes; expected 162"),
    "levels of nothing": (constant("x_scale", 0.0), "has a scale of 0.0"),
    "negative levels": (constant("x_scale", -1.0), "has a scale of -1.0"),
    "levels without end": (constant("x_scale", np.inf), "has a scale of inf"),
    "levels too fine": (constant("x_scale", 1e-42), "has a scale of"),
    "levels for each channel": (constant("x_scale", np.ones(3)), "one scale for all"),
    "levels of words": (constant("x_zero", 0, np.uint16), "not of bytes"),
    "signed photos": (constant("x_zero", 0, np.int8), "photo becomes signed bytes"),
    "photos lying down": (node("Transpose", perm=[0, 3, 2, 1]), "no photo with channels last"),
    "photos of other numbers": (node("Cast", to=TensorProto.DOUBLE), "no photo with channels last"),
    "another operator": (instead("Relu", "Tanh"), "its GlobalAveragePool takes what no layer has written"),
    "an answer of a map": (instead("GlobalAveragePool", "Relu"), "10 x 10 pixels|no known place|for 6 channels"),
    "a softmax over photos": (node("Softmax", axis=0), "its Softmax is one over axis 0"),
    "another matrix": (constant("m", np.ones((CLASSES, 7))), r"shape \(7, 4\) for 6 channels"),
    "a bias too short": (constant("b", np.ones(CLASSES - 1)), "has 3 float32 parameters; expected 4"),
    "a bias that is no number": (constant("b", np.full(CLASSES, np.nan)), "has 4 float32 parameters"),
    "other answers": (constant("m", np.ones((CLASSES + 1, 6))), "parameters; expected 5"),
    "too many forms": (both_ways, r"\('c'\) is wanted in 3 forms"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_in_one_sentence(kind, tmp_path):
    change, reason = REFUSED[kind]
    proto = model()
    change(proto)
    write(tmp_path, proto)
    with pytest.raises(Unsupported, match=rf"^the native runtime cannot load compiled\.onnx: .*({reason})"):
        registry.runtime("native").load(artifact.read(tmp_path), ONE)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (Tensor("data", "uint8", (None, SIDE, SIDE + 1, 3)), CLASSES),
        (Tensor("photo", "uint8", (None, SIDE, SIDE, 3)), CLASSES),
        (Tensor("data", "float32", (None, SIDE, SIDE, 3)), CLASSES),
        (Tensor("data", "uint8", (4, SIDE, SIDE, 3)), CLASSES),
        (Tensor("data", "uint8", (None, SIDE, SIDE, 3)), CLASSES + 1),
    ],
    ids=["wide", "another name", "float", "four at once", "more classes"],
)
def test_a_record_of_another_graph_is_refused(tmp_path, given, answer):
    described = {"dtype": "int8", "framework": "ONNX", "target": "this machine"}
    output = Tensor("p", "float32", (None, answer))
    compiled = artifact.write(tmp_path, model().SerializeToString(), input=given, output=output, **described)
    with pytest.raises(Unsupported, match="its record says"):
        registry.runtime("native").load(compiled, ONE)


def test_a_file_that_is_gone_or_empty_is_refused(tmp_path):
    compiled = write(tmp_path, model())
    compiled.model.write_bytes(b"")
    with pytest.raises(Unsupported, match="cannot load"):
        registry.runtime("native").load(compiled, ONE)
    compiled.model.unlink()
    with pytest.raises(Unsupported, match="cannot load"):
        registry.runtime("native").load(compiled, ONE)


@pytest.mark.parametrize(
    ("extents", "reason"),
    [
        ((1, SIDE, SIDE, 5), "10 x 10 pixels with 5 channels"),
        ((1, 0, SIDE, 3), "photos of 0 x 10 pixels"),
        ((7, SIDE, SIDE, 3), "takes 7 photos at once"),
        ((SIDE, SIDE, 3), "expected the bytes of photos"),
        ((1, "high", SIDE, 3), "expected the bytes of photos"),
        ((1, 1 << 14, 1 << 14, 3), "computes a tensor of shape"),
        ((1, 1 << 40, 1 << 40, 3), "computes a tensor of shape"),
    ],
    ids=str,
)
def test_other_photos_are_refused(extents, reason):
    proto = model()
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("data", TensorProto.UINT8, extents))
    with pytest.raises(Unsupported, match=reason):
        chains.read(simplify(onnx_graph.read(proto.SerializeToString())))


def test_it_runs_as_it_is(tmp_path):
    compiled: Compiled = write(tmp_path, model())
    assert registry.runtime("native").load(compiled, ONE).predict(photos(2)).shape == (2, CLASSES)
