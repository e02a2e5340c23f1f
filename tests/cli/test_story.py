"""From a folder to answers, with the command line alone: real training, a real endpoint."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Darkroom

pytestmark = pytest.mark.slow

SMALL = ("--epochs", 2, "--image-size", 32, "--batch-size", 4)


@pytest.mark.slow
def test_from_a_folder_to_answers(darkroom: Darkroom, photo_folder: Callable[..., Path]) -> None:
    photos = photo_folder(dark=8, light=8)
    (photos / "light" / "broken.jpg").write_bytes(b"no photo")
    darkroom.ok("up")

    trained = darkroom("train", photos, "--name", "first", *SMALL)
    assert trained.returncode == 0, trained.stderr
    assert "2 classes, 17 photos: 13 to learn from, 4 to measure accuracy on" in trained.stderr
    assert "broken.jpg" in trained.stderr
    assert "epoch 2/2, accuracy " in trained.stderr
    assert trained.stdout.startswith("Trained first in ")
    assert "s3://sagemaker-us-east-1-000000000000/first/output/model.tar.gz" in trained.stdout
    assert "darkroom deploy first" in trained.stdout

    row = next(line for line in darkroom.ok("jobs").splitlines() if line.startswith("first"))
    assert "Completed" in row
    assert "%" in row
    assert "Epoch[1] Validation-accuracy=" in darkroom.ok("logs", "first")
    again = darkroom("train", photos, "--name", "first", *SMALL)
    assert (again.returncode, "choose another name" in again.stderr) == (2, True)
    unknown = darkroom("deploy", "frist")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "error no training or compilation job named 'frist'; did you mean first?\n",
    )

    assert "In service first" in darkroom.ok("deploy", "first")
    assert "InService" in darkroom.ok("endpoints")
    predicted = darkroom("predict", "first", photos)
    assert predicted.returncode == 0, predicted.stderr
    assert "16 photos" in predicted.stdout
    assert "of them right" in predicted.stdout
    assert "broken.jpg" in predicted.stderr
    record = json.loads(darkroom.ok("predict", "first", photos / "dark" / "0.jpg", "--json"))
    assert {entry["class"] for entry in record["classes"]} == {"dark", "light"}
    assert sum(entry["probability"] for entry in record["classes"]) == pytest.approx(1, abs=1e-5)

    left = darkroom.home / "left"
    assert "model.onnx" in darkroom.ok("export", "first", left)
    assert (left / "classes.txt").read_text() == "dark\nlight\n"
    occupied = darkroom("export", "first", left)
    assert (occupied.returncode, "is not empty: name a new folder" in occupied.stderr) == (2, True)

    compiled = darkroom("compile", "first", "--tolerance", 5)
    assert compiled.returncode == 0, compiled.stderr
    assert "Calibrated " in compiled.stderr
    assert compiled.stdout.startswith("Compiled first-ml-c")
    assert "answers are the same" in compiled.stdout
    name = compiled.stdout.split()[1]
    assert "name the training job that it was made of" in darkroom("export", name, darkroom.home / "none").stderr
    again = darkroom("compile", "first")
    assert (again.returncode, "choose another: --name NAME" in again.stderr) == (2, True)
    chart = darkroom.home / "charts" / "one"
    held = darkroom.ok("bench", "first", name, "--rec", photos, "-n", 20, "-o", chart)
    assert [line.split()[0] for line in held.splitlines()[1:7]] == ["p50", "p90", "p99", "memory", "cold", "accuracy"]
    assert "not known" not in held
    assert chart.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert 'src="data:image/png;base64,' in chart.with_suffix(".html").read_text()
    assert len(darkroom.ok("endpoints").splitlines()) == 2  # the temporary one of the compiled job is gone

    kept = darkroom("delete", "first", stdin="n\n")
    assert (kept.returncode, "nothing was deleted" in kept.stderr) == (1, True)
    deleted = darkroom.ok("delete", "first", "--yes")
    assert deleted == "Deleted endpoint first, endpoint-config first, model first\n"
    assert "No endpoint yet" in darkroom.ok("endpoints")


def test_wrong_hyperparameters_are_refused_before_anything_is_packed(
    darkroom: Darkroom, photo_folder: Callable[..., Path]
) -> None:
    photos = photo_folder(dark=3, light=3)
    darkroom.ok("up")
    for arguments, reason in (
        (["--depth", "19"], "The value '19' is not valid for the 'num_layers' hyperparameter"),
        (["-p", "learning_rat=0.1"], "learning_rat"),
        (["-p", "optimizer"], "is not NAME=VALUE"),
        (["--name", "a b"], "cannot name a job"),
    ):
        done = darkroom("train", photos, *arguments)
        assert done.returncode == 2, done.stderr
        assert reason in done.stderr
        assert "Packing" not in done.stderr
    assert "No training job yet" in darkroom.ok("jobs")


def test_names_are_whole_where_programs_read_them(darkroom: Darkroom, photo_folder: Callable[..., Path]) -> None:
    photos, name = photo_folder(dark=3, light=3), "a-" * 31 + "z"
    darkroom.ok("up")
    darkroom("train", photos, "--name", name, *SMALL)
    assert darkroom.ok("jobs").splitlines()[1].split()[0] == name
