"""Files of a training under way: what is read is what was written, and whatever is not whole is said to be so."""

import contextlib
import json
import struct
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.algorithm import snapshots
from darkroom.algorithm.snapshots import Snapshot, SnapshotError

TENSORS = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "optimizer.count": torch.tensor(7)}
ONE = Snapshot(3, 20, {"momentum": 0.9}, {"left_out": {"train": [4]}, "accuracies": [0.5]}, {"a.params": 2}, TENSORS)


@pytest.fixture
def written(tmp_path):
    (tmp_path / "a.params").write_bytes(b"xy")
    return snapshots.write(tmp_path, ONE)


def test_what_was_written_is_read(written):
    again = snapshots.read(written)
    assert (again.epoch, again.batch, again.job, again.progress, again.kept) == (3, 20, ONE.job, ONE.progress, ONE.kept)
    assert again.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(again.tensors[name], TENSORS[name]) for name in TENSORS)


def test_memory_format_does_not_matter(tmp_path):
    last = ONE.tensors["conv.weight"].contiguous(memory_format=torch.channels_last)
    path = snapshots.write(tmp_path, Snapshot(0, 1, {}, ONE.progress, {}, {"w": last}))
    assert torch.equal(snapshots.read(path).tensors["w"], last)


def test_the_furthest_comes_first_after_what_does_not_say(tmp_path):
    first, second = snapshots.NAMES
    for places, names in ((((2, 9), (2, 100)), [second, first]), (((10, 0), (2, 9)), [first, second])):
        for name, (epoch, batch) in zip((first, second), places, strict=True):
            snapshots.write(tmp_path, Snapshot(epoch, batch, {}, ONE.progress, {}, {}, name))
        assert [path.name for path in snapshots.found(tmp_path)] == names
    (tmp_path / second).write_bytes(b"")
    assert [path.name for path in snapshots.found(tmp_path)] == [second, first]
    (tmp_path / first).unlink()
    (tmp_path / first).mkdir()
    assert [path.name for path in snapshots.found(tmp_path)] == [second]
    assert snapshots.found(tmp_path / "nowhere") == []


def test_nothing_half_written_stays(tmp_path):
    def fill(part):
        part.write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        snapshots.appear(tmp_path / "a", fill)
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=200)
@given(length=st.integers(0, 2000), place=st.integers(0, 1999), value=st.integers(0, 255))
def test_no_file_does_more_than_fail(tmp_path_factory, length, place, value):
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.params").write_bytes(b"xy")
    path = snapshots.write(folder, ONE)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data[: max(0, len(data) - length)] if length % 2 else data)
    with contextlib.suppress(SnapshotError):
        assert snapshots.read(path).name == path.name


def lied(folder, change):
    """A file whose header says something else."""
    path = snapshots.write(folder, Snapshot(0, 0, {}, {"left_out": {}}, {}, {}))
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    told = json.loads(header["__metadata__"]["darkroom"])
    header["__metadata__"]["darkroom"] = change(told)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": 2}, "that this version of Darkroom can read"),
        ({"epoch": -5}, "does not say how far the training was"),
        ({"batch": "0"}, "does not say how far the training was"),
        ({"kept": {"../../x": 0}}, "names model files that are none"),
        ({"kept": {"a": -1}}, "how far the training was"),
        ({"kept": {"a": True}}, "how far the training was"),
        ({"kept": {"b.params": 3}}, "needs the file b.params as it was beside it, and it is another or not there"),
        ({"job": []}, "which job it is of"),
        ({"progress": 3}, "which job it is of"),
    ],
)
def test_headers_that_cannot_be_true(tmp_path, changed, words):
    path = lied(tmp_path, lambda told: json.dumps(told | changed))
    with pytest.raises(SnapshotError, match=words):
        snapshots.read(path)


def test_model_files_must_be_those_that_were_there(tmp_path):
    (tmp_path / "a.params").write_bytes(b"ours")
    for kept in ({"a.params": snapshots.digest(tmp_path / "a.params")}, {"a.params": 4}):  # older snapshots: the size
        assert snapshots.read(snapshots.write(tmp_path, replace(ONE, kept=kept))).kept == kept
    path = snapshots.write(tmp_path, replace(ONE, kept={"a.params": snapshots.digest(tmp_path / "a.params")}))
    (tmp_path / "a.params").write_bytes(b"them")
    with pytest.raises(SnapshotError, match=r"needs the file a\.params as it was"):
        snapshots.read(path)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "{}", '{"format": 1}'])
def test_headers_that_are_none(tmp_path, text):
    with pytest.raises(SnapshotError):
        snapshots.read(lied(tmp_path, lambda told: text))
