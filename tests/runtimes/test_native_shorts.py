"""Networks in whole numbers of 16 bits: what the graph becomes, and that our kernels compute what it then says."""

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.compiler import calibrate
from darkroom.compiler.optimise import fold_batch_norms, fold_constants, halve_weights, pool_last, take_photo_bytes
from darkroom.compiler.quantize import activations
from darkroom.runtimes import artifact, native, onnx_graph, registry
from darkroom.runtimes.artifact import Compiled, Tensor
from darkroom.runtimes.base import Settings, Unsupported
from darkroom.runtimes.native import chains, plan, shorts
from darkroom.runtimes.native import runtime as native_runtime
from darkroom.runtimes.native.layers import MAX_SUM, Convolution, Levels
from darkroom.runtimes.native.simplify import simplify
from darkroom.runtimes.native.structures import SHORTS
from darkroom.runtimes.onnx_graph import Graph
from tests.runtimes.quantised import CLASSES, answers, depthwise, open_ended, post_activation, pre_activation, smooth

able = pytest.mark.skipif(not native.able(), reason=native.NEEDS)
HALF = Settings(threads=2, precision="bf16")

NETWORKS = {
    "pre-activation, small photos": (lambda folder: pre_activation(folder, 20, 28), 28),
    "pre-activation, pooled": (lambda folder: pre_activation(folder, 18, 64), 64),
    "pre-activation, deep": (lambda folder: pre_activation(folder, 50, 64), 64),
    "post-activation, pooled": (lambda _: post_activation((16, 48), 64, pooled=True), 64),
    "post-activation, deep": (lambda _: post_activation((24, 40), 32, deep=True), 32),
    "depthwise": (lambda _: depthwise(32), 32),
    "depthwise, normalised": (lambda _: depthwise(30, norm=True), 30),
    "odd numbers": (lambda _: post_activation((18, 36), 29, pooled=True), 29),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory):
    """In float32, as the compiler prepares it; and photos."""
    make, side = NETWORKS[request.param]
    return prepared(make(tmp_path_factory.mktemp("model"))), smooth(6, side)


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    return open_ended(take_photo_bytes(pool_last(fold_constants(fold_batch_norms(model)))))


def ranges_of(model: onnx.ModelProto, photos: np.ndarray) -> Mapping[str, tuple[float, float]]:
    names = activations(model, additions=True, fused=True)
    return calibrate.extremes(model, names, [row[np.newaxis] for row in photos], threads=1)


def write(
    folder: Path,
    model: onnx.ModelProto,
    photos: np.ndarray,
    dtype: str = "bf16",
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Compiled:
    """With ranges of all photos but the last two."""
    return artifact.write(
        folder,
        model.SerializeToString(),
        input=Tensor(model.graph.input[0].name, "uint8", (None, *photos.shape[1:])),
        output=Tensor(model.graph.output[0].name, "float32", (None, CLASSES)),
        dtype=dtype,
        framework="ONNX",
        target="this machine",
        ranges=ranges_of(model, photos[:-2]) if ranges is None else ranges,
    )


@pytest.fixture(autouse=True)
def without_bfloat16(monkeypatch):
    """Whatever processor the tests run on."""
    monkeypatch.setattr(native_runtime, "has_bfloat16", lambda: False)


def as_onnx(graph: Graph) -> onnx.ModelProto:
    """The rewritten graph, its bounds spelled as a Clip."""
    nodes, constants = [], {name: np.asarray(values) for name, values in graph.constants.items()}
    for node in graph.nodes:
        inputs, attributes = list(node.inputs), dict(node.attributes)
        bounds = attributes.pop("bounds", None)
        if node.operator == "QuantizeLinear" and bounds:
            scale = constants[node.inputs[1]]
            constants |= {f"{inputs[0]}_{k}": np.float32(bound * float(scale)) for k, bound in enumerate(bounds)}
            clipped = f"{node.outputs[0]}_clipped"
            nodes.append(helper.make_node("Clip", [inputs[0], f"{inputs[0]}_0", f"{inputs[0]}_1"], [clipped]))
            inputs[0] = clipped
        nodes.append(helper.make_node(node.operator, inputs, list(node.outputs), **attributes))
    given = helper.make_tensor_value_info(graph.input.name, TensorProto.UINT8, ["batch", *graph.input.shape[1:]])
    answer = helper.make_tensor_value_info(graph.output.name, TensorProto.FLOAT, ["batch", CLASSES])
    kept = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    made = helper.make_graph(nodes, "shorts", [given], [answer], kept)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative to how far answers are from each other."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected - expected.mean(axis=0)))


def snapped(graph: Graph) -> Graph:
    """The same with numbers that no engine rounds but where the graph says so: scales are powers of two, others have
    few bits."""
    constants = dict(graph.constants)
    for name, values in constants.items():
        if "_scale" in name:
            constants[name] = np.exp2(np.floor(np.log2(values))).astype(np.float32)
        elif name.endswith(("_var", "_gamma")):
            constants[name] = np.exp2(np.rint(np.log2(np.abs(values) + 0.3) / 2) * 2).astype(np.float32)
        elif values.dtype == np.float32:
            constants[name] = (np.rint(values * 16) / 16).astype(np.float32)
    nodes = [
        replace(n, attributes=dict(n.attributes) | ({"epsilon": 0.0} if "Batch" in n.operator else {}))
        for n in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes), constants=constants)


@able
def test_what_rounds_where_the_graph_says_so_is_the_same_to_the_last_bit(network, monkeypatch):
    """With sums of few bits, which floats hold as well: the other engine computes in them."""
    model, photos = network
    monkeypatch.setattr(shorts, "MAX_SUM", 2**18)
    monkeypatch.setattr(shorts, "SHARED_BITS", 22)
    monkeypatch.setattr(shorts, "SLACK", 0)
    graph = snapped(shorts.quantised(onnx_graph.read(model.SerializeToString()), ranges_of(model, photos)))
    expected = answers(as_onnx(graph), photos)
    assert np.ptp(expected, axis=0).max() > 0
    np.testing.assert_array_equal(run(graph, photos), expected)


def run(graph: Graph, photos: np.ndarray) -> np.ndarray:
    """By our kernels."""
    read = chains.read(simplify(graph))
    return native_runtime._Context(plan.make(read.layers), 2, read.answers, probabilities=False).run(photos)


def in_bfloat16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network where what layers take, weights included, is rounded to bfloat16."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.opset_import[0].version = 21
    result.ir_version = 10
    nodes = []
    for node in result.graph.node:
        for place in range(2) if node.op_type in ("Conv", "Gemm") else ():
            small, wide = (f"{node.name}_{place}_{kind}" for kind in ("small", "wide"))
            nodes.append(helper.make_node("Cast", [node.input[place]], [small], to=TensorProto.BFLOAT16))
            nodes.append(helper.make_node("Cast", [small], [wide], to=TensorProto.FLOAT))
            node.input[place] = wide
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


@able
def test_less_is_lost_than_in_bfloat16(network, tmp_path):
    model, photos = network
    exact = answers(model, photos)
    loaded = registry.runtime("native").load(write(tmp_path, model, photos), HALF)
    lost, half = distance(loaded.predict(photos), exact), distance(answers(in_bfloat16(model), photos), exact)
    assert 0 < lost < half / 3


@pytest.mark.parametrize("products", [9, 27, 147, 1152, 4608, 32768])
@pytest.mark.parametrize("least", [0, -1])
def test_no_sum_overflows(products, least):
    """The worst input that there is, for each output: everything at the bound that its weight's sign makes worst."""
    random = np.random.default_rng(products)
    weight = random.normal(0, 1, (40, products)).astype(np.float32) * np.exp(random.normal(0, 3, (40, 1)))
    weight[0], weight[1], weight[2] = 0, 1, np.abs(weight[2])
    weight[3, 1:] = 0
    most = min(shorts.MOST, isqrt(2**shorts.SHARED_BITS // products))
    whole, scale = shorts.levels(weight.astype(np.float32), (least * most, most))
    wide = whole.astype(np.int64)
    for sign in (1, -1):
        worst = np.where(sign * wide > 0, most, least * most)
        assert np.abs((wide * worst).sum(axis=1)).max() <= MAX_SUM
    assert not whole[0].any()
    assert np.abs(whole[1:]).max(axis=1).min() > 60
    np.testing.assert_allclose(whole * scale[:, np.newaxis], weight, atol=(scale * 0.5001).max())


def test_bounds_are_kept_by_levels():
    weight = np.array([[3, -2], [100, 7]], np.int16)
    assert Levels(SHORTS, 1.0, 0, (0, 10)).most(weight) == 1070
    assert Levels(SHORTS, 1.0, 0, (-10, 10)).most(weight) == 1070
    assert Levels(SHORTS, 1.0, 0, (-30, 10)).most(weight) == 3210
    assert Levels(SHORTS, 1.0, 0).limits == (-32768, 32767)


@able
def test_what_photos_never_showed_is_clipped(tmp_path):
    """Ranges of one gray photo, and then photos of noise: finite, and bounded by what was seen."""
    model = prepared(post_activation((16, 32), 32))
    gray, noise = np.full((3, 32, 32, 3), 127, np.uint8), smooth(4, 32)
    loaded = registry.runtime("native").load(write(tmp_path, model, gray), HALF)
    seen, found = answers(model, gray), loaded.predict(noise)
    np.testing.assert_allclose(loaded.predict(gray), seen, atol=1e-3 * np.ptp(seen))
    assert np.abs(found).max() < 2 * shorts.HEADROOM * np.abs(seen).max()


@able
def test_weights_stored_in_16_bits_serve_as_well(tmp_path):
    """What fp16 asks for: the same arithmetic, half the file."""
    model, photos = prepared(post_activation((16, 32), 32)), smooth(6, 32)
    whole = write(tmp_path / "whole", model, photos)
    half = write(tmp_path / "half", halve_weights(model), photos, dtype="fp16", ranges=whole.ranges)
    loaded = registry.load_verified(half, Settings(1, precision=half.precision))[1]
    assert loaded.precision == "int16"
    assert distance(loaded.predict(photos), answers(model, photos)) < 0.02


def test_what_was_written_is_read(tmp_path):
    model = prepared(post_activation((16,), 8))
    compiled = write(tmp_path, model, smooth(4, 8))
    assert len(compiled.ranges) > 3
    assert artifact.read(tmp_path) == compiled
    assert [replace(compiled, dtype=dtype).precision for dtype in ("bf16", "fp16", "fp32", "int8")] == [
        "bf16",
        "fp16",
        "fp32",
        "fp32",
    ]


@pytest.mark.parametrize(
    ("settings", "change"),
    [(HALF, {"ranges": {}}), (Settings(1), {})],
    ids=["nobody knows how far tensors reach", "fp32 is asked for"],
)
@able
def test_otherwise_floats_are_for_other_engines(tmp_path, settings, change):
    compiled = replace(write(tmp_path, prepared(post_activation((16, 32), 32)), smooth(4, 32)), **change)
    with pytest.raises(Unsupported, match="of its work is in float"):
        registry.runtime("native").load(compiled, settings)


@able
def test_a_processor_with_bfloat16_uses_it(tmp_path, monkeypatch):
    monkeypatch.setattr(native_runtime, "has_bfloat16", lambda: True)
    compiled = write(tmp_path, prepared(post_activation((16, 32), 32)), smooth(4, 32))
    with pytest.raises(Unsupported, match="or in bf16"):
        registry.runtime("native").load(compiled, HALF)
    assert registry.runtime("native").load(compiled, replace(HALF, precision="fp16")).precision == "int16"


def test_sums_that_could_overflow_are_refused():
    """A file may say what it likes: without bounds shorts reach farther than sums of them can."""
    model = prepared(post_activation((16, 32), 32))
    graph = shorts.quantised(onnx_graph.read(model.SerializeToString()), ranges_of(model, smooth(4, 32)))
    layers = chains.read(simplify(graph)).layers
    assert all(layer.weight.dtype == np.int16 for layer in layers if isinstance(layer, Convolution))
    unbounded = tuple(
        replace(n, attributes={k: v for k, v in n.attributes.items() if k != "bounds"}) for n in graph.nodes
    )
    with pytest.raises(Unsupported, match="need more than 32 bits"):
        chains.read(simplify(replace(graph, nodes=unbounded)))


@pytest.mark.parametrize("bounds", [(0, 40000), (0,), (5, 9), (-40000, 5), (0, 0)])
def test_bounds_that_shorts_do_not_have_are_refused(bounds):
    model = prepared(post_activation((16,), 8))
    graph = shorts.quantised(onnx_graph.read(model.SerializeToString()), ranges_of(model, smooth(4, 8)))
    nodes = tuple(replace(n, attributes={"bounds": bounds}) if "Quantize" in n.operator else n for n in graph.nodes)
    with pytest.raises(Unsupported, match="has bounds"):
        chains.read(simplify(replace(graph, nodes=nodes)))


@pytest.mark.parametrize("operator", ["Relu", "Cast", "Conv", "MaxPool", "Add", "GlobalAveragePool", "Gemm"])
@able
def test_nodes_that_take_nothing_are_refused(tmp_path, operator):
    model, photos = prepared(post_activation((16,), 16, pooled=True)), smooth(4, 16)
    ranges = ranges_of(model, photos)
    del next(node for node in model.graph.node if node.op_type == operator).input[:]
    with pytest.raises(Unsupported, match=f"its {operator} takes 0 tensors"):
        registry.runtime("native").load(write(tmp_path, model, photos, ranges=ranges), HALF)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@able
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    model, photos = prepared(post_activation((16,), 8)), smooth(4, 8)
    ranges = ranges_of(model, photos)
    name = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    for tensor in model.graph.initializer:
        if tensor.name == name:
            spoilt = numpy_helper.to_array(tensor).copy()
            spoilt.flat[0] = value
            tensor.CopyFrom(numpy_helper.from_array(spoilt, name))
    with pytest.raises(Unsupported, match="no numbers"):
        registry.runtime("native").load(write(tmp_path, model, photos, ranges=ranges), HALF)
