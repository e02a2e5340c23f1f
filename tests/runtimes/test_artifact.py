"""Artifacts that are not what they say: each is refused in one sentence, before an engine sees it."""

import contextlib
import json
import os

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from darkroom.runtimes import artifact
from darkroom.runtimes.artifact import MANIFEST, MODEL, UnusableArtifact
from darkroom.runtimes.onnx_scan import OPERATORS, ScanError, scan
from darkroom.testing.runtime_contract import model, write


def test_what_is_written_is_read(tmp_path):
    written = write(tmp_path, model())
    assert artifact.read(tmp_path) == written
    assert artifact.is_compiled(tmp_path)


def test_a_folder_without_is_no_artifact(tmp_path):
    assert not artifact.is_compiled(tmp_path)
    with pytest.raises(UnusableArtifact, match=r"holds no compiled\.json"):
        artifact.read(tmp_path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / MODEL).unlink(), r"holds no compiled\.onnx"),
        (lambda folder: os.truncate(folder / MODEL, 100), r"has 100 bytes, and compiled\.json says"),
        (lambda folder: flip(folder / MODEL), r"SHA-256 differs"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "not readable as JSON"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), "not readable as JSON"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "not a JSON object"),
        (lambda folder: (folder / MANIFEST).write_bytes(b" " * (1 << 23)), "more than any"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), "not readable as JSON"),
        (lambda folder: edit(folder, format=2), "of format 2; this version serves format 1"),
        (lambda folder: edit(folder, model={"file": "/etc/passwd", "size_bytes": 1, "sha256": ""}), "'model' is"),
        (lambda folder: edit(folder, model=None), "'model' is 'None'"),
        (lambda folder: edit(folder, input={"name": "x", "dtype": "object", "shape": [1]}), "'input' is"),
        (lambda folder: edit(folder, input={"name": "x", "dtype": "uint8", "shape": [None, -3]}), "'input' is"),
        (lambda folder: edit(folder, input={"name": "x", "dtype": "uint8", "shape": [None, 1 << 40]}), "more than is"),
        (lambda folder: edit(folder, dtype=8), "'dtype' is '8'"),
        (lambda folder: edit(folder, ranges=[1]), "'ranges' is"),
        (lambda folder: edit(folder, ranges={"x": [1]}), "'ranges' is"),
        (lambda folder: edit(folder, ranges={"x": [2, 1]}), "'ranges' is"),
        (lambda folder: edit(folder, ranges={"x": [0, True]}), "'ranges' is"),
        (lambda folder: edit(folder, ranges={"x": ["0", "1"]}), "'ranges' is"),
        (lambda folder: edit(folder, ranges={"x": [0, float("nan")]}), "'ranges' is"),
        (lambda folder: edit(folder, ranges={"x": [0, 10**400]}), "'ranges' is"),
    ],
)
def test_damage_is_named(tmp_path, damage, reason):
    write(tmp_path, model())
    damage(tmp_path)
    with pytest.raises(UnusableArtifact, match=reason) as caught:
        artifact.read(tmp_path)
    assert "\n" not in str(caught.value)


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(folder, **members) -> None:
    record = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(record | members))


def test_a_link_is_not_followed(tmp_path):
    write(tmp_path / "a", model())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / MODEL).symlink_to(tmp_path / "a" / MODEL)
    (tmp_path / "b" / MANIFEST).write_bytes((tmp_path / "a" / MANIFEST).read_bytes())
    with pytest.raises(UnusableArtifact, match=r"holds no compiled\.onnx"):
        artifact.read(tmp_path / "b")


# The graph itself -----------------------------------------------------------------------------------


def test_the_scan_lists_operators():
    found = {node.op_type for node in model().graph.node}
    assert scan(model().SerializeToString()) == found


def external() -> onnx.ModelProto:
    proto = model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return proto


def external_in_an_attribute() -> onnx.ModelProto:
    proto = model()
    tensor = TensorProto(dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    proto.graph.node.append(helper.make_node("Constant", [], ["k"], value=tensor))
    return proto


def nested() -> onnx.ModelProto:
    proto = model()
    inner = helper.make_graph([], "inner", [], [])
    proto.graph.node.append(helper.make_node("If", ["c"], ["k"], then_branch=inner, else_branch=inner))
    return proto


def nested_in_a_known_one() -> onnx.ModelProto:
    proto = model()
    proto.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "inner", [], [])))
    return proto


def foreign() -> onnx.ModelProto:
    proto = model()
    proto.graph.node.append(helper.make_node("Conv", ["d"], ["k"], domain="evil.plugin"))
    return proto


def functions() -> onnx.ModelProto:
    proto = model()
    proto.functions.add(name="f", domain="")
    return proto


def sparse() -> onnx.ModelProto:
    proto = model()
    proto.graph.sparse_initializer.add()
    return proto


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (external, "data in other files"),
        (external_in_an_attribute, "data in other files"),
        (nested, "graphs within its graph|'If' is not one"),
        (nested_in_a_known_one, "graphs within its graph"),
        (foreign, r"'evil\.plugin\.Conv' is not one"),
        (functions, "functions of its own"),
        (sparse, "sparse"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_hostile_graph_is_refused(make, reason):
    with pytest.raises(ScanError, match=reason):
        scan(make().SerializeToString())


def test_every_cut_is_refused_or_lacks_something():
    data = model().SerializeToString()
    whole = scan(data)
    survivors = 0
    for length in range(len(data)):
        with contextlib.suppress(ScanError):
            survivors += scan(data[:length]) == whole
    assert survivors <= 2  # between the graph and the fields after it, which say the versions


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    with pytest.raises(ScanError):
        scan(data)


@settings(max_examples=200)
@given(st.data())
def test_changed_bytes_never_bring_another_operator(data):
    changed = bytearray(model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ScanError):
        assert scan(changed) <= OPERATORS
