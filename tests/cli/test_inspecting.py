"""The command on datasets made here: what it prints, the JSON, the contact sheet."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from darkroom.cli.main import app
from tests.inspection.sets import folders, photo, record_file
from tests.pages.parsed import assert_harmless

ROOT = Path(__file__).resolve().parents[2]
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    return run


def test_it_prints_classes_sizes_and_a_suggestion(inspect, tmp_path: Path) -> None:
    said = inspect(ROOT / "examples" / "photos")
    assert "class folders, 252 images" in said
    assert "Nothing odd was found." in said
    assert "num_classes=6 num_training_samples=252 image_shape=3,160,160" in said
    assert "Every one of the 252 images was read whole and decoded" in said
    assert [path.name for path in tmp_path.iterdir()] == ["photos-inspection.html"]
    found = assert_harmless((tmp_path / "photos-inspection.html").read_text())
    assert found.names.count("img") == 6 * 8  # some of every class
    assert "watch" in found.text


def test_what_is_odd_is_printed_by_kind(inspect, tmp_path: Path) -> None:
    root = folders(tmp_path / "photos", a=12, b=12)
    for number in range(7):
        (root / "a" / f"empty{number}.jpg").write_bytes(b"")
    shutil.copy(root / "a" / "0.jpg", root / "b" / "again.jpg")
    said = inspect(root, "--no-html")
    assert "cannot be read  7\n  a/empty0.jpg: the file is empty\n" in said
    assert "  … and 2 more\n" in said
    assert "the same file in two classes  1\n  a/0.jpg = b/again.jpg\n" in said
    assert not (tmp_path / "photos-inspection.html").exists()


def test_json_says_everything(inspect, tmp_path: Path) -> None:
    path = record_file(tmp_path / "x.rec", [0, 1, 5])
    found = json.loads(inspect(path, "--json", "--num-classes", 3))
    assert [row["images"] for row in found["datasets"][0]["classes"]] == [1, 1, 0, 0, 0, 1]
    assert {"kind": "labels", "grave": True, "images": [[0, 2]]}.items() <= found["odd"][0].items()
    assert found["suggestion"]["num_training_samples"] == "3"
    assert list(tmp_path.glob("*.html")) == []


def test_training_and_validation_are_held_against_each_other(inspect, tmp_path: Path) -> None:
    folders(tmp_path / "set" / "train", a=12, b=12)
    folders(tmp_path / "set" / "validation", a=11, b=1)
    said = inspect(tmp_path / "set", "--html", tmp_path / "sheet.html")
    assert "the same file in two datasets" in said
    assert_harmless((tmp_path / "sheet.html").read_text())


def test_names_that_are_not_meant_well_are_text_everywhere(inspect, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for label, name in enumerate((NASTY, "[bold]b")):
        (root / name).mkdir(parents=True)
        for number in range(10):
            (root / name / f"{number}[red].jpg").write_bytes(photo(10 * label + number))
    (root / NASTY / "\x1b[2J.jpg").write_bytes(b"")
    (root / NASTY / b"\xff.jpg".decode("utf-8", "surrogateescape")).write_bytes(b"")
    said = inspect(root)
    assert NASTY in said
    assert "[bold]b" in said
    assert "\x1b[2J" not in said
    assert f"{NASTY}/\N{REPLACEMENT CHARACTER}.jpg: the file is empty" in said
    found = assert_harmless((tmp_path / "photos-inspection.html").read_text())
    assert NASTY in found.text


def test_what_is_no_dataset_is_said_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["inspect", str(tmp_path / "nothing")])
    assert done.exit_code != 0
    assert "there is no" in str(done.exception)
