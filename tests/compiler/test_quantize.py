"""What is put into eight bits, read off the graph."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.compiler.quantize import Range, activations, int8_layers, quantize


@pytest.fixture
def model() -> onnx.ModelProto:
    """Conv → Relu → MaxPool → Conv, float (1, 2, 8, 8) → (1, 3, 4, 4)."""
    random = np.random.default_rng(0)
    weights = {"first": random.normal(size=(4, 2, 3, 3)), "second": random.normal(size=(3, 4, 1, 1))}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], "conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu0"),
        helper.make_node("MaxPool", ["b"], ["c"], "pool0", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "second"], ["y"], "conv1"),
    ]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 2, 8, 8]), ("y", None))]
    kept = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", [tensors[0]], [tensors[1]], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


@pytest.mark.parametrize(("additions", "pooled"), [(True, True), (False, False)])
def test_pooling_is_done_on_bytes_where_speed_is_asked_for(
    model: onnx.ModelProto, additions: bool, pooled: bool
) -> None:
    names = activations(model, additions=additions)
    assert ("b" in names) is pooled
    small = quantize(model, {name: Range(-8.0, 8.0) for name in names}, additions=additions)
    pool = next(node for node in small.graph.node if node.op_type == "MaxPool")
    maker = next(node for node in small.graph.node if pool.input[0] in node.output)
    assert (maker.op_type == "DequantizeLinear") is pooled
    assert int8_layers(small) == 2


def test_what_is_kept_stays_as_it_is(model: onnx.ModelProto) -> None:
    small = quantize(model, {name: Range(-8.0, 8.0) for name in activations(model, additions=False)}, keep=["conv1"])
    assert int8_layers(small) == 1


def test_answers_stay_within_the_steps_of_eight_bits(model: onnx.ModelProto) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (1, 2, 8, 8)).astype(np.float32)
    ranges = {"x": Range(-1, 1), "b": Range(0, 12), "c": Range(0, 12)}
    found, expected = answers(quantize(model, ranges, additions=True), x), answers(model, x)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def residual() -> onnx.ModelProto:
    """Two convolutions of one tensor, added up; then a convolution of that, added to it: float (1, 2, 4, 4)."""
    random = np.random.default_rng(0)
    weights = {name: random.normal(size=(2, 2, 1, 1)) for name in ("w0", "w1", "w2")}
    statistics = {name: np.ones(2) for name in ("gamma", "beta", "mean", "variance")}
    nodes = [
        helper.make_node("Relu", ["x"], ["start"], "start"),
        helper.make_node("Conv", ["start", "w0"], ["shortcut"], "shortcut"),
        helper.make_node("Conv", ["start", "w1"], ["branch"], "branch"),
        helper.make_node("Add", ["branch", "shortcut"], ["sum"], "sum"),
        helper.make_node("BatchNormalization", ["sum", *statistics], ["norm"], "norm"),
        helper.make_node("Relu", ["norm"], ["active"], "active"),
        helper.make_node("Conv", ["active", "w2"], ["second"], "second"),
        helper.make_node("Add", ["second", "sum"], ["total"], "total"),
        helper.make_node("GlobalAveragePool", ["total"], ["y"], "y"),
    ]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 2, 4, 4]), ("y", None))]
    kept = [numpy_helper.from_array(a.astype(np.float32), name) for name, a in (weights | statistics).items()]
    graph = helper.make_graph(nodes, "net", [tensors[0]], [tensors[1]], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_only_what_leaves_the_accumulators_is_put_into_bytes() -> None:
    model = residual()
    names = activations(model, additions=True)
    assert sorted(names) == ["active", "second", "shortcut", "start", "sum", "total"]
    small = quantize(model, {name: Range(-8.0, 8.0) for name in names}, additions=True)
    adds = {node.name: list(node.input) for node in small.graph.node if node.op_type == "Add"}
    assert adds["sum"] == ["branch", "shortcut_dequantized"]
    assert adds["total"] == ["second_dequantized", "sum_dequantized"]


def test_an_engine_that_adds_in_its_registers_is_left_to_it() -> None:
    model = residual()
    names = activations(model, additions=True, fused=True)
    assert sorted(names) == ["active", "shortcut", "start", "sum", "total"]
    small = quantize(model, {name: Range(-8.0, 8.0) for name in names}, additions=True, fused=True)
    inputs = {node.name: list(node.input) for node in small.graph.node}
    assert inputs["sum"] == ["branch", "shortcut_dequantized"]
    assert inputs["total"] == ["second", "sum_dequantized"]
    assert inputs["norm"][0] == "sum"


def test_sums_lie_around_zero_and_inputs_of_layers_are_bytes() -> None:
    names = activations(residual(), additions=True)
    small = quantize(residual(), {name: Range(-8.0, 6.0) for name in names}, additions=True)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in small.graph.initializer}
    zeros = {name: constants[f"{name}_zero"] for name in names}
    assert (zeros["sum"].dtype, zeros["sum"]) == (np.int8, 0)
    assert (zeros["start"].dtype, zeros["start"]) == (np.uint8, 146)
    assert constants["sum_scale"] == np.float32(8 / 128)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)
    assert np.abs(answers(small, x) - answers(residual(), x)).max() < 0.15


def test_a_mean_beside_other_users_takes_what_is_there() -> None:
    model = residual()
    assert "total" in activations(model, additions=True)
    model.graph.node.append(helper.make_node("Relu", ["total"], ["z"], "z"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    assert "total" in activations(model, additions=True)  # a sum that goes two ways
    model.graph.node[7].op_type = "Mul"
    assert "total" not in activations(model, additions=True)
