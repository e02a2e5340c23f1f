"""Rewrites before quantisation: other graphs, the same answers."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.compiler.optimise import pool_last


def pooled(scale: float, *outputs: str) -> onnx.ModelProto:
    """Conv → MaxPool → BatchNormalization → Relu, (1, 2, 9, 9) → (1, 4, 5, 5); ``scale``: of the third channel."""
    random = np.random.default_rng(0)
    constants = {
        "weight": random.normal(size=(4, 2, 3, 3)),
        "gamma": np.array([1.5, 0.2, scale, 1.0]),
        "beta": random.normal(size=4),
        "mean": random.normal(size=4),
        "variance": random.uniform(0.5, 2, size=4),
    }
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["a"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["a"], ["b"], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["b", "gamma", "beta", "mean", "variance"], ["c"], "norm"),
        helper.make_node("Relu", ["c"], ["y"], "relu"),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 9, 9])
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 5, 5]) for name in outputs or ("y",)]
    kept = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "net", [given], found, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("scale", [0.7, 0.0])
def test_the_pooling_comes_last(scale: float) -> None:
    model = pooled(scale)
    moved = pool_last(model)
    assert operators(moved) == ["Conv", "BatchNormalization", "Relu", "MaxPool"]
    onnx.checker.check_model(moved)
    x = np.random.default_rng(1).normal(size=(1, 2, 9, 9)).astype(np.float32)
    before, after = (ort.InferenceSession(m.SerializeToString()).run(["y"], {"x": x})[0] for m in (model, moved))
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert before.max() > 0.5


@pytest.mark.parametrize("model", [pooled(-0.7), pooled(0.7, "y", "b"), pooled(0.7, "y", "c")])
def test_the_pooling_stays_where_the_answer_would_change(model: onnx.ModelProto) -> None:
    """A negative scale makes the largest the smallest; an output of the model is what it was."""
    assert operators(pool_last(model)) == operators(model)
