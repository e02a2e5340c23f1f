"""Symbols and arrays that no MXNet wrote, and those it wrote long ago: understood, or refused in words that help."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.compiler.errors import CompileError
from darkroom.compiler.importers import mxnet
from darkroom.compiler.importers.mxnet_graph import parse
from darkroom.compiler.importers.mxnet_operators import TRANSLATIONS
from darkroom.compiler.inputs import Input
from darkroom.formats import params

IMAGE = Input("data", (None, 3, 8, 8))
WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def node(op: str, name: str, *inputs: int, **attributes: str) -> dict:
    return {"op": op, "name": name, "attrs": attributes, "inputs": [[number, 0, 0] for number in inputs]}


def convolution(**changes: str) -> list[dict]:
    attributes = {"kernel": "(3, 3)", "num_filter": "4", "no_bias": "True"} | changes
    return [node("null", "data"), node("null", "w"), node("Convolution", "c", 0, 1, **attributes)]


def symbol(nodes: list[dict], **members: object) -> bytes:
    return json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]} | members).encode()


def convert(nodes: list[dict], arrays: dict[str, np.ndarray] | None = None, image: Input = IMAGE, **members: object):
    given = {"w": WEIGHT} if arrays is None else arrays
    return mxnet.convert(parse(symbol(nodes, **members), "s.json"), given, [image], "p.params")


def test_the_plain_one_is_fine():
    assert [n.op_type for n in convert(convolution()).graph.node] == ["Conv"]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (
            [node("null", "data"), node("Custom", "evil", 0)],
            "operator Custom of node 'evil' is not offered; those that are",
        ),
        ([node("null", "data"), node("relu", "r", 1)], "takes node 1 as input; expected one of the 1 before it"),
        ([node("null", "data"), node("relu", "a", 2), node("relu", "b", 1)], "a graph without cycles"),
        ([node("null", "data"), node("relu", "a", -1)], "takes node -1 as input"),
        (convolution(kernel="(3, 3"), None),  # MXNet itself reads that
        (convolution(kernel="__import__('os')"), 'kernel is "__import__.*expected whole numbers such as'),
        (convolution(kernel="(3,)"), r"kernel is \(3,\) for an input of \[batch, 3, 8, 8\]; expected 2 extents"),
        (convolution(kernel="(0, 3)"), "expected 2 extents"),
        (convolution(kernel="(9, 9)"), r"its weight 'w' has the shape \[4, 3, 3, 3\].*expects \[4, 3, 9, 9\]"),
        (convolution(num_filter="1000000000"), r"expects \[1000000000, 3, 3, 3\]"),
        (convolution(num_filter="many"), "num_filter is 'many'; expected a whole number"),
        (convolution(num_group="0"), "num_group is 0; expected a divisor"),
        (convolution(num_group="3"), "num_group is 3; expected a divisor of its 3 channels and 4 filters"),
        (convolution(pad="(1000000, 1000000)"), r"would give a tensor of shape \[batch, 4, 2000006, 2000006\]"),
        (convolution(stride="(-1, 1)"), "stride is"),
        (convolution(dilate="(9, 9)"), r"tensor of shape \[batch, 4, -10, -10\]"),
        (convolution(no_bias="False"), "has 2 inputs; expected at least 3"),
        (convolution(no_bias="perhaps"), "no_bias is 'perhaps'; expected True or False"),
        (convolution(layout="NHWC"), "layout is 'NHWC'; expected one of"),
        ([*convolution(), node("Pooling", "p", 2, kernel="(9, 9)")], r"kernel \(9, 9\) with pad \(0, 0\) does not fit"),
        ([*convolution(), node("Pooling", "p", 2, kernel="(1, 1)", pad="(3, 3)")], "nothing but padding"),
        (
            [*convolution(), node("Pooling", "p", 2, kernel="(2, 2)", pool_type="lp")],
            "pool_type is 'lp'; expected one of",
        ),
        ([*convolution(), node("Reshape", "r", 2, shape="(0, 5)")], r"expected 144 values in each item"),
        ([*convolution(), node("Reshape", "r", 2, shape="(-1, -1)")], "shape is"),
        ([*convolution(), node("Cast", "k", 2, dtype="int32")], "dtype is 'int32'; expected one of float16"),
        ([*convolution(), node("softmax", "s", 2, temperature="warm")], "temperature is 'warm'; expected a number"),
        ([*convolution(), node("FullyConnected", "f", 2, num_hidden="5")], "has 1 inputs; expected at least 2"),
        ([*convolution(), node("Concat", "j", 2, 0, dim="1")], r"joins \[batch, 4, 6, 6\], \[batch, 3, 8, 8\] along 1"),
        ([*convolution(), node("elemwise_add", "a", 2, 0)], "expected equal shapes"),
        ([node("null", "data")], "is the output, and nothing computes it"),
    ],
)
def test_a_graph_is_understood_or_refused(nodes, reason):
    if reason is None:
        assert convert(nodes).graph.node
        return
    with pytest.raises(CompileError, match=reason):
        convert(nodes)


def test_doubling_never_reaches_the_memory():
    nodes = [node("null", "data")]
    for k in range(60):
        nodes.append(node("Concat", f"c{k}", k, k, dim="1"))
    tracemalloc.start()
    with pytest.raises(CompileError, match="would give a tensor of shape"):
        convert(nodes, {})
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not readable as JSON"),
        (b"\x80\x04cos\nsystem\n", "not readable as JSON"),
        (b"[" * 100_000, "not readable as JSON"),
        (b"[]", "expected an object with nodes and heads, found list"),
        (b'{"nodes": []}', "found nodes"),
        (b'{"nodes": [], "heads": [[0, 0, 0]]}', "has 0 nodes"),
        (b'{"nodes": [1], "heads": [[0, 0, 0]]}', "node 0: expected an object with op and name"),
        (b'{"nodes": [{"op": "null", "name": "a", "inputs": 3}], "heads": [[0, 0, 0]]}', "inputs is no list"),
        (
            b'{"nodes": [{"op": "null", "name": "a", "inputs": ["x"]}], "heads": [[0, 0, 0]]}',
            "is not .node, output, version",
        ),
        (b'{"nodes": [{"op": "null", "name": "a"}], "heads": [[7, 0, 0]]}', r"heads is \[\[7, 0, 0\]\]; expected"),
        (b'{"nodes": [{"op": "null", "name": "a"}], "heads": [[0, 0], [0, 0]]}', r"has 2 outputs \(a, a\)"),
    ],
)
def test_a_file_that_is_no_symbol_is_shown(data, reason):
    with pytest.raises(CompileError, match=reason):
        parse(data, "model-symbol.json")


def test_missing_arrays_are_named_with_those_that_are_there():
    reason = r"nothing says what w are: .* DataInputConfig \(found: data\) nor p.params \(found: other\)"
    with pytest.raises(CompileError, match=reason):
        convert(convolution(), {"other": WEIGHT})


def test_graphs_of_mxnet_0_8_list_no_moving_statistics():
    nodes = [
        {"op": "null", "param": {}, "name": "data", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "bn_gamma", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "bn_beta", "inputs": [], "backward_source_id": -1},
        {
            "op": "BatchNorm",
            "param": {"eps": "2e-05", "fix_gamma": "True"},
            "name": "bn",
            "inputs": [[0, 0], [1, 0], [2, 0]],
            "backward_source_id": -1,
        },
    ]
    names = ("bn_gamma", "bn_beta", "bn_moving_mean", "bn_moving_var")
    model = convert(nodes, {name: np.full(3, 2, np.float32) for name in names}, heads=[[3, 0]])
    assert model.graph.node[0].op_type == "BatchNormalization"
    with pytest.raises(CompileError, match="its bn_moving_var are not in the params file"):
        convert(nodes, {name: np.full(3, 2, np.float32) for name in names[:3]}, heads=[[3, 0]])


def test_the_latest_epoch_counts(tmp_path):
    (tmp_path / "m-symbol.json").write_bytes(symbol(convolution()))
    for name in ("m-0002.params", "m-0010.params", "m-9.params"):
        params.save(tmp_path / name, {"arg:w": WEIGHT})
    assert mxnet.find(tmp_path) == (tmp_path / "m-symbol.json", tmp_path / "m-0010.params")
    for name in ("model-shapes.json", "hyperparams.json"):
        (tmp_path / name).write_text("[]")
    assert mxnet.load(tmp_path, [IMAGE]).graph.node


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["m-0001.params"], r"No symbol file found .* the model holds: m-0001\.params"),
        (["a-symbol.json", "b-symbol.json", "m-0001.params"], r"Only one symbol file is allowed .* a-symbol\.json, b-"),
        (["a-symbol.json"], r"No params file found .* expected one named \*-0001\.params"),
        ([], "No symbol file found .* the model holds: nothing"),
    ],
)
def test_a_folder_that_is_no_model_is_listed(tmp_path, files, reason):
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(CompileError, match=f"InputConfiguration: {reason}"):
        mxnet.find(tmp_path)


def test_arrays_without_their_kind_are_named(tmp_path):
    (tmp_path / "m-symbol.json").write_bytes(symbol(convolution()))
    params.save(tmp_path / "m-0001.params", {"w": WEIGHT})
    with pytest.raises(CompileError, match="names w; expected names that start with arg: or aux:"):
        mxnet.load(tmp_path, [IMAGE])


def test_a_params_file_that_was_cut_off_is_named(tmp_path):
    (tmp_path / "m-symbol.json").write_bytes(symbol(convolution()))
    params.save(tmp_path / "m-0001.params", {"arg:w": WEIGHT})
    data = (tmp_path / "m-0001.params").read_bytes()
    (tmp_path / "m-0001.params").write_bytes(data[:100])
    with pytest.raises(CompileError, match=r"m-0001\.params, byte .*cut off"):
        mxnet.load(tmp_path, [IMAGE])


VALUES = st.sampled_from(
    ["", "None", "True", "0", "-1", "7", "1e9", "(1, 2)", "(9,9)", "relu", "avg", "full", "nan", "()"]
)
NAMES = st.sampled_from(
    ["kernel", "stride", "pad", "num_filter", "num_hidden", "axis", "dim", "shape", "act_type", "pool_type", "nsize"]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_attributes_are_understood_or_refused(data):
    nodes = [node("null", "data"), node("null", "w")]
    for k in range(data.draw(st.integers(1, 3))):
        op = data.draw(st.sampled_from(sorted(TRANSLATIONS)))
        attributes = data.draw(st.dictionaries(NAMES, VALUES, max_size=3))
        inputs = data.draw(st.lists(st.integers(0, len(nodes) - 1), max_size=3))
        nodes.append(node(op, f"n{k}", *inputs, **attributes))
    try:
        assert convert(nodes, {"w": WEIGHT}).graph.node
    except CompileError as error:
        assert str(error)  # noqa: PT017 - either way is right
