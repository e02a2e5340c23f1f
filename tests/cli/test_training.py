import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.cli.console import Failure
from darkroom.cli.packing import list_all, pack_all
from darkroom.cli.training import _lines, default_name, pairs, planned
from darkroom.formats.lst import read_lst
from darkroom.formats.recordio import RecordFile

NOW = datetime(2026, 11, 20, 23, 59, 58, tzinfo=UTC)


def test_every_class_is_in_both_parts(photo_folder: Callable[..., Path]) -> None:
    plan = planned(photo_folder(cat=10, dog=2), None, 0.2, NOW)
    assert plan.classes == ("cat", "dog")
    assert plan.name == "photos-20261120-235958"
    assert [sum(s.label == k for s in plan.train) for k in (0, 1)] == [8, 1]
    assert [sum(s.label == k for s in plan.validation) for k in (0, 1)] == [2, 1]


def test_the_layout_is_shown_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").touch()
    with pytest.raises(Failure, match=r"(?s)has no folder with photos.*one folder for each class") as caught:
        planned(tmp_path, None, 0.2, NOW)
    assert caught.value.exit_code == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nowhere is not a folder"):
        planned(tmp_path / "nowhere", None, 0.2, NOW)


def test_one_class_is_too_few(photo_folder: Callable[..., Path]) -> None:
    with pytest.raises(Failure, match=r"one class only \(cat\)"):
        planned(photo_folder(cat=3), None, 0.2, NOW)


def test_one_photo_is_too_few(photo_folder: Callable[..., Path]) -> None:
    with pytest.raises(Failure, match="class 'dog' has 1 photo"):
        planned(photo_folder(cat=3, dog=1), None, 0.2, NOW)


def test_a_class_whose_name_is_no_text_is_to_be_renamed(photo_folder: Callable[..., Path]) -> None:
    folder = photo_folder(cat=3, dog=3)
    (folder / "dog").rename(folder / os.fsdecode(b"caf\xe9"))
    with pytest.raises(Failure, match=r"^rename the folder 'caf\\udce9': its name is not UTF-8") as caught:
        planned(folder, None, 0.2, NOW)
    assert caught.value.exit_code == 2
    str(caught.value).encode()


def test_class_names_are_kept_but_for_line_breaks() -> None:
    assert _lines(["jp\u3000inu", "two  spaces", "two\nlines"]) == "jp\u3000inu\ntwo  spaces\ntwo lines\n"


def test_a_list_of_the_photos_lies_beside_each_rec(tmp_path: Path, photo_folder: Callable[..., Path]) -> None:
    folder = photo_folder(cat=5, dog=5)
    (folder / "cat" / "0.jpg").rename(folder / "cat" / os.fsdecode(b"\xe9\t.jpg"))
    (folder / "dog" / "0.jpg").write_bytes(b"no photo")
    plan = planned(folder, None, 0.4, NOW)
    channels = {"train": plan.train, "validation": plan.validation}
    files = {name: tmp_path / name / f"{name}.rec" for name in channels}
    pack_all(channels, files, 32)
    list_all(channels, files, folder)
    for name, samples in channels.items():
        lines = {line.index: line for line in read_lst(files[name].with_suffix(".lst"))}
        assert len(lines) == len(samples)
        records = RecordFile(files[name])
        for k in range(len(records)):
            header = records.image(k)[0]
            path, sample = lines[header.id].path, samples[header.id]
            assert lines[header.id].labels == tuple(header.label)
            assert sample.path == folder / path or path == "cat/\ufffd\ufffd.jpg"


@pytest.mark.parametrize("share", [0, 1, -0.1, 20])
def test_a_share_is_between_nothing_and_all(photo_folder: Callable[..., Path], share: float) -> None:
    with pytest.raises(Failure, match="choose one above 0 and below 1"):
        planned(photo_folder(cat=3, dog=3), None, share, NOW)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my photos (2026)!", "my-photos-2026-20261120-235958"),
        ("Größe", "Gr-e-20261120-235958"),
        ("写真", "photos-20261120-235958"),
        ("x" * 80, "x" * 40 + "-20261120-235958"),
    ],
)
def test_a_job_is_named_after_the_folder_in_letters_that_names_may_have(folder: str, name: str) -> None:
    assert default_name(Path("/data") / folder, NOW) == name


def test_hyperparameters_are_pairs() -> None:
    assert pairs(["optimizer=adam", "image_shape=3,32,32", "x=a=b"]) == {
        "optimizer": "adam",
        "image_shape": "3,32,32",
        "x": "a=b",
    }
    with pytest.raises(Failure, match="'learning_rate' is not NAME=VALUE"):
        pairs(["learning_rate"])
