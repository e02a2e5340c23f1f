"""The im2rec of MXNet 1.9.1 and ours, on the same photos with the same words: lists and records are the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from darkroom.formats.recordio import RecordFile
from tests.clients.environments import ROOT, python_of

pytestmark = pytest.mark.clients

OURS = [sys.executable, ROOT / "examples" / "im2rec.py"]


@pytest.fixture(scope="module")
def theirs():
    python = python_of("mxnet")
    found = list(python.parents[1].glob("lib/python*/site-packages/mxnet/tools/im2rec.py"))
    return [python, *found]


def run(program, *words):
    done = subprocess.run([*program, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def both(tmp_path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    return tmp_path / "ours", tmp_path / "theirs"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


PHOTOS = ROOT / "examples" / "photos"


@pytest.mark.parametrize(
    "words",
    [
        ["--recursive", "--list", "--num-thread", "8"],
        ["--list", "--recursive", "--no-shuffle", "--chunks", "3"],
        ["--list", "--recursive", "--train-ratio", "0.7", "--test-ratio", "0.15", "--chunks", "2"],
        ["--list", "--recursive", "--train-ratio", "0.8"],
        ["--list", "--exts", ".jpg"],
    ],
)
def test_lists_are_the_same_bytes(both, theirs, words):
    said = [run(program, folder / "set", PHOTOS, *words) for program, folder in zip((OURS, theirs), both, strict=True)]
    assert said[0] == said[1]
    assert files(both[0]) == files(both[1])


def test_passed_through_records_are_the_same_bytes(both, theirs, tmp_path):
    magic = bytes.fromhex("0a23d7ce")
    root = tmp_path / "photos"
    root.mkdir()
    (root / "split.jpg").write_bytes(b"1234" + magic + b"56" + magic + magic)  # both at multiples of four
    (root / "empty.jpg").write_bytes(b"")
    (root / "one.jpg").write_bytes(next(PHOTOS.rglob("*.jpg")).read_bytes())
    lst = "3\t1\tsplit.jpg\n9\t0\t1\t1\tone.jpg\n4\t2.5\tempty.jpg\n5\t0\tgone.jpg\n"
    for program, folder in zip((OURS, theirs), both, strict=True):
        (folder / "set.lst").write_text(lst)
        (folder / "set_b.lst").write_text(lst[: lst.index("5")])
        run(program, folder / "set", root, "--pass-through", "--pack-label", "--num-thread", "4")
    assert files(both[0]) == files(both[1])


def test_resized_pictures_are_the_same_but_for_their_sharpness(both, theirs):
    for program, folder in zip((OURS, theirs), both, strict=True):
        run(program, folder / "set", PHOTOS, "--list", "--recursive", "--train-ratio", "0.1")
        os.remove(folder / "set_val.lst")
        run(program, folder / "set", PHOTOS, "--resize", "96", "--quality", "90", "--num-thread", "2")
    ours, other = (RecordFile(folder / "set_train.rec") for folder in both)
    assert len(ours) == len(other) > 0
    for position in range(len(ours)):
        (header, data), (wanted, expected) = ours.image(position), other.image(position)
        assert (header.id, header.label) == (wanted.id, wanted.label)
        pictures = [cv2.imdecode(np.frombuffer(one, np.uint8), -1).astype(float) for one in (data, expected)]
        assert pictures[0].shape == pictures[1].shape
        assert np.abs(pictures[0] - pictures[1]).mean() < 12
        assert abs((pictures[0] - pictures[1]).mean()) < 1.5
