"""Files as onnx writes them are read as onnx reads them; files that lie are refused in one sentence."""

import random
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.runtimes import onnx_graph
from darkroom.runtimes.onnx_scan import ScanError
from darkroom.testing.runtime_contract import model

SPELLINGS = {
    TensorProto.FLOAT: [1.5, -2.0, 3e38, 0.0],
    TensorProto.DOUBLE: [1.5, -2.0, 1e300, 0.0],
    TensorProto.INT8: [-128, 127, -1, 0],
    TensorProto.UINT8: [0, 255, 128, 1],
    TensorProto.INT16: [-32768, 32767, -1, 0],
    TensorProto.UINT16: [0, 65535, 1, 2],
    TensorProto.INT32: [-(2**31), 2**31 - 1, -1, 0],
    TensorProto.INT64: [-(2**63), 2**63 - 1, -1, 300],
    TensorProto.UINT32: [0, 2**32 - 1, 1, 2],
    TensorProto.UINT64: [0, 2**64 - 1, 1, 2],
    TensorProto.BOOL: [True, False, True, True],
    TensorProto.FLOAT16: [1.5, -2.0, 65504.0, 0.0],
}


def of(*tensors: onnx.TensorProto, nodes: tuple = (), given: str = "x", answer: str = "y") -> bytes:
    """A file with these constants, and one Relu where no nodes are given."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in (given, answer)]
    made = list(nodes) or [helper.make_node("Relu", [given], [answer])]
    return helper.make_model(helper.make_graph(made, "net", infos[:1], infos[1:], list(tensors))).SerializeToString()


def tensor(kind: int = TensorProto.FLOAT, dims: tuple[int, ...] = (4,), name: str = "c", **fields: object):
    made = onnx.TensorProto(name=name, data_type=kind, dims=dims)
    for field, value in fields.items():
        if isinstance(value, list):
            getattr(made, field).extend(value)
        else:
            setattr(made, field, value)
    return made


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "spelled"])
@pytest.mark.parametrize("kind", SPELLINGS)
def test_constants_are_what_onnx_reads(kind: int, raw: bool) -> None:
    made = helper.make_tensor("c", kind, [2, 2], SPELLINGS[kind])
    if raw:
        made = numpy_helper.from_array(numpy_helper.to_array(made), "c")
    found = onnx_graph.read(of(made)).constants["c"]
    expected = numpy_helper.to_array(made)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_weights_are_not_copied() -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (64, 64, 3, 3)).astype(np.int8)
    data = of(numpy_helper.from_array(weights, "c"))
    tracemalloc.start()
    graph = onnx_graph.read(data)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(graph.constants["c"], weights)
    assert used < weights.nbytes // 2
    assert not graph.constants["c"].flags.writeable


def test_nodes_and_what_they_hang_on() -> None:
    graph = onnx_graph.read(model().SerializeToString())
    proto = model().graph
    assert [(n.operator, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in proto.node
    ]
    assert graph.input == onnx_graph.Value("data", TensorProto.UINT8, (None, 10, 10, 3))
    assert graph.output == onnx_graph.Value("p", TensorProto.FLOAT, (None, 4))
    assert [n.operator for n in graph.users["d"]] == ["Conv"]
    assert graph.makers["c"].operator == "Conv"


def test_attributes_have_their_types() -> None:
    node = helper.make_node("Conv", ["x"], ["y"], pads=[1, -1], alpha=0.5, group=-3, mode="NOTSET", scales=[1.5, 2.5])
    found = onnx_graph.read(of(nodes=(node,))).nodes[0]
    assert (found.wholes("pads", ()), found.real("alpha", 0), found.whole("group", 1)) == ((1, -1), 0.5, -3)
    assert (found.text("mode", ""), found.attributes["scales"]) == ("NOTSET", (1.5, 2.5))
    assert (found.wholes("strides", (1, 1)), found.real("beta", 2.0), found.text("auto", "x")) == ((1, 1), 2.0, "x")
    with pytest.raises(ScanError, match="the attribute 'group' of its Conv is '-3'"):
        found.wholes("group", ())


def test_constants_of_nodes_are_constants() -> None:
    value = numpy_helper.from_array(np.arange(3, dtype=np.int64))
    nodes = (helper.make_node("Constant", [], ["k"], value=value), helper.make_node("Reshape", ["x", "k"], ["y"]))
    graph = onnx_graph.read(of(nodes=nodes))
    np.testing.assert_array_equal(graph.constants["k"], [0, 1, 2])
    assert [node.operator for node in graph.nodes] == ["Reshape"]


RELU = helper.make_node("Relu", ["x"], ["y"])
HOSTILE = {
    "bytes missing": (of(tensor(raw_data=b"1234567")), "has 7 bytes; expected 16"),
    "bytes too many": (of(tensor(raw_data=bytes(20))), "has 20 bytes; expected 16"),
    "no values": (of(tensor()), "values in 0 places"),
    "two spellings": (of(tensor(raw_data=bytes(16), float_data=[1.0] * 4)), "values in 2 places"),
    "values missing": (of(tensor(float_data=[1.0])), "not the 4 values"),
    "numbers missing": (of(tensor(TensorProto.INT8, int32_data=[1])), "not the 4 values"),
    "numbers too many": (of(tensor(TensorProto.INT64, (1,), int64_data=[1] * 9)), "a list of numbers is damaged"),
    "in another's place": (of(tensor(TensorProto.INT64, int32_data=[1] * 4)), "are not where those of their type are"),
    "huge": (of(tensor(dims=(1 << 20, 1 << 20), raw_data=b"")), "more than is served"),
    "huge and spelled": (of(tensor(dims=(1 << 24,), float_data=[1.0])), "are not where those of their type are"),
    "negative": (of(tensor(dims=(-4, -1), raw_data=bytes(16))), "more than is served"),
    "overflowing": (of(tensor(dims=(1 << 62, 1 << 62, 4), raw_data=bytes(16))), "more than is served"),
    "of many dimensions": (of(tensor(dims=(1,) * 40, raw_data=bytes(4))), "more than is served"),
    "of an unknown type": (of(tensor(TensorProto.STRING)), "is of type 8"),
    "elsewhere": (of(tensor(data_location=TensorProto.EXTERNAL)), "data in other files"),
    "twice the same": (of(tensor(raw_data=bytes(16)), tensor(raw_data=bytes(16))), "two of its constants are"),
    "made twice": (of(nodes=(RELU, RELU)), "makes 'y', which is there already"),
    "a constant made": (of(tensor(name="y", raw_data=bytes(16))), "makes 'y', which is there already"),
    "a loop": (
        of(nodes=(helper.make_node("Relu", ["b"], ["y"]), helper.make_node("Relu", ["y"], ["b"]))),
        "takes 'b', which nothing before it makes",
    ),
    "itself": (of(nodes=(helper.make_node("Relu", ["y"], ["y"]),)), "takes 'y', which nothing before it makes"),
    "no output": (of(nodes=(helper.make_node("Relu", ["x"], ["z"]),)), "nothing makes its output 'y'"),
    "a node for nothing": (of(nodes=(RELU, helper.make_node("Relu", ["y"], []))), "its Relu makes nothing"),
    "an empty constant": (of(nodes=(helper.make_node("Constant", [], ["y"]),)), "no value that is a tensor"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_lies_is_refused(kind: str) -> None:
    data, reason = HOSTILE[kind]
    with pytest.raises(ScanError, match=reason):
        onnx_graph.read(data)


def test_two_inputs_are_refused() -> None:
    proto = onnx.ModelProto.FromString(of())
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    with pytest.raises(ScanError, match="2 inputs and 1 outputs"):
        onnx_graph.read(proto.SerializeToString())


def test_older_files_list_constants_among_inputs() -> None:
    proto = onnx.ModelProto.FromString(of(tensor(raw_data=bytes(16))))
    proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [4]))
    assert onnx_graph.read(proto.SerializeToString()).input.name == "x"


@pytest.mark.parametrize("seed", range(8))
def test_damage_of_any_kind_is_refused_or_read(seed: int) -> None:
    """Bytes changed, cut out, and doubled: a graph or a ScanError, in little memory."""
    chance = random.Random(seed)
    whole = model().SerializeToString()
    refused = 0
    tracemalloc.start()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place, size = chance.randrange(len(data)), chance.choice((1, 1, 1, 4, 40))
            kind = chance.randrange(3)
            if kind == 0:
                data[place : place + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))])
            elif kind == 1:
                del data[place : place + size]
            else:
                data[place:place] = data[place : place + size]
        try:
            graph = onnx_graph.read(bytes(data))
        except ScanError:
            refused += 1
        else:
            assert graph.output.name in {*graph.makers, *graph.constants, graph.input.name}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert 20 < refused < 150
