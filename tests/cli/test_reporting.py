"""The report of a job on its way to the terminal: what is said of it, and the whole way over a real server."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from darkroom.cli.reporting import MAX_BYTES, _from_archive, summary
from darkroom.pages.page import figures_of
from tests.cli.conftest import Darkroom

FIGURES = {
    "network": "ResNet-20",
    "images": {"train": 1200, "validation": 30},
    "classes": 3,
    "epochs": [{}, {}],
    "accuracy": 0.9,
    "stored_epoch": 2,
    "per_class": [
        {"name": "cat", "images": 10, "right": 9, "named": 10},
        {"name": "[bold]dog", "images": 10, "right": 8, "named": 9},
        {"name": "emu", "images": 10, "right": 10, "named": 11},
        {"name": "fox", "images": 0, "right": 0, "named": 0},
    ],
    "confused": [{"true": "[bold]dog", "named": "emu", "images": 2}],
}


def test_the_summary_names_what_is_hard_and_takes_no_name_for_markup():
    assert summary(FIGURES) == [
        "ResNet-20, 1,200 images of 3 classes, 2 epochs",
        "  accuracy [bold]90.0%[/] on 30 validation images, epoch 2",
        "  hardest to find: \\[bold]dog 80%, cat 90%",
        "  most confused: \\[bold]dog taken for emu, 2 images",
    ]


def test_no_class_commands_the_terminal():
    row = {"name": "\x1b[2Jdog", "images": 10, "right": 8, "named": 9}
    said = "".join(summary(FIGURES | {"per_class": [row], "confused": [{"true": "\x1bx", "named": "b", "images": 2}]}))
    assert "dog 80%" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("figures", [None, {}, {"images": 3}, FIGURES | {"per_class": [7]}, FIGURES | {"epochs": None}])
def test_a_page_of_another_kind_has_no_summary(figures):
    assert summary(figures) == []


def archive(**files: bytes) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def test_the_page_is_found_in_what_the_job_left():
    assert _from_archive(archive(other_txt=b"no", report_html=b"<p>")) == b"<p>"
    assert _from_archive(archive(other_txt=b"no")) is None
    assert _from_archive(io.BytesIO(b"no archive")) is None
    assert _from_archive(io.BytesIO(archive(report_html=bytes(1 << 20)).getvalue()[:200])) is None


def test_a_page_without_end_is_refused():
    with pytest.raises(Exception, match="more than 64 MiB"):
        _from_archive(archive(report_html=bytes(MAX_BYTES + 1)))


@pytest.mark.slow
def test_from_a_job_to_its_page(darkroom: Darkroom, photo_folder, tmp_path: Path) -> None:
    photos = photo_folder(dark=8, light=8)
    darkroom.ok("up")
    early = darkroom("report", "first")
    assert (early.returncode, "no training job named 'first'" in early.stderr) == (2, True)
    trained = darkroom.ok("train", photos, "--name", "first", "--epochs", 1, "--image-size", 32, "--batch-size", 4)
    assert "darkroom report first" in trained
    page = tmp_path / "page.html"
    said = darkroom.ok("report", "first", "--output", page)
    assert f"Report of first: {page}" in said
    assert re.search(r"accuracy \d+\.\d% on 4 validation images, epoch 1", said)
    figures = figures_of(page.read_text())
    assert figures is not None
    assert [row["name"] for row in figures["per_class"]] == ["dark", "light"]
    assert figures["job"] == "first"
