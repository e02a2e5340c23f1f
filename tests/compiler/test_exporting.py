"""A model that leaves: the script beside it answers as the trained network does, with nothing of Darkroom."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from darkroom.compiler import exporting
from darkroom.compiler.exporting import MODEL
from darkroom.compiler.source import DETAILS
from darkroom.imaging.preprocess import SQUASH, Preprocess
from darkroom.networks import artifact

pytestmark = pytest.mark.slow


def test_the_script_answers_as_the_network_does(trained, tmp_path: Path) -> None:
    files = exporting.export(trained.model, tmp_path / "left")
    assert [path.name for path in files[:3]] == ["model.onnx", "classes.txt", "predict.py"]
    assert any(path.suffix == ".params" for path in files)
    model = artifact.load(trained.model)
    assert model.preprocessing is not None
    preprocess = Preprocess.from_dict(model.preprocessing)
    photos = []
    for k, (data, _) in enumerate(trained.validation[:12]):  # already as large as they are used: resizers differ
        photos.append(tmp_path / f"{k}.png")
        Image.fromarray(preprocess.resized(data)).save(photos[-1])
    answers = predict(tmp_path / "left", photos)
    pixels = np.stack([preprocess.apply(photo.read_bytes()).transpose(2, 0, 1) for photo in photos])
    with torch.no_grad():
        expected = model.net(torch.from_numpy(pixels).float()).softmax(1)
    assert model.classes is not None
    assert [name for name, _ in answers] == [model.classes[int(k)] for k in expected.argmax(1)]
    assert [p for _, p in answers] == pytest.approx(expected.amax(1).tolist(), abs=1e-3)


def test_a_failed_export_leaves_nothing_in_the_way_of_the_next(trained, tmp_path: Path, monkeypatch) -> None:
    def half(model: onnx.ModelProto, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(onnx, "save", half)
        with pytest.raises(OSError, match="No space left"):
            exporting.export(trained.model, tmp_path / "left")
    assert list((tmp_path / "left").iterdir()) == []
    files = exporting.export(trained.model, tmp_path / "left")
    assert sorted(files) == sorted((tmp_path / "left").iterdir())


def test_a_class_is_exported_as_it_is_called(tmp_path: Path) -> None:
    (tmp_path / DETAILS).write_text(json.dumps({"classes": ["jp\u3000inu", "two  spaces", "two\nlines\x85"]}))
    assert exporting._class_names(tmp_path / DETAILS, 3) == ["jp\u3000inu", "two  spaces", "two lines"]


def predict(folder: Path, photos: list[Path]) -> list[tuple[str, float]]:
    command = [sys.executable, "-I", str(folder / "predict.py"), *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [str(photo) for photo in photos]
    return [(row[1], float(row[2])) for row in rows]


@pytest.mark.parametrize(
    "preprocess",
    [Preprocess(28, 20, 1, None), Preprocess(20, 28, 3, 40), Preprocess(32, 32, 3, mode=SQUASH)],
    ids=["grey", "wide", "squashed"],
)
def test_photos_of_any_size_are_prepared(preprocess: Preprocess, tmp_path: Path) -> None:
    """A network that only adds pixels up, in the place of one that learnt: it takes nothing but its own shape."""
    height, width, channels = preprocess.shape
    pixels = helper.make_tensor_value_info("data", TensorProto.FLOAT, [None, channels, height, width])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, [None, channels])
    add = helper.make_node("ReduceMean", ["data"], ["sums"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([add], "sums", [pixels], [sums])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / MODEL)
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "predict.py").write_text(exporting.script(preprocess, "data"))
    photos = [tmp_path / f"{width}-{height}.png" for width, height in ((7, 300), (300, 7), (64, 48), (20, 28))]
    for photo in photos:
        Image.new("RGB", tuple(map(int, photo.stem.split("-"))), (10, 200, 30)).save(photo)
    expected = ("green", 200.0) if channels == 3 else ("red", 124.0)  # luma of that green
    assert predict(tmp_path, photos) == [expected] * 4
    for fault in (tmp_path / "absent.jpg", tmp_path / "classes.txt"):
        done = subprocess.run([sys.executable, tmp_path / "predict.py", fault], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, f"{fault} is no photo that can be read\n")
