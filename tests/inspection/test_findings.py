"""What is found in datasets that were spoiled on purpose, and nothing in those that were not."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.formats.lst import LstLine, write_lst
from darkroom.inspection import findings, summaries, twins
from darkroom.inspection.opening import open_all
from darkroom.inspection.survey import survey
from tests.imaging.pictures import NASTY, blocks, file_of, needs_nasty, png_of_zeros, scene
from tests.inspection.sets import close, folders, photo, record_file


def looked_at(*paths: Path, decode: bool | None = True):
    return [survey(dataset, decode, 2, lambda done: None) for path in paths for dataset in open_all(path)]


def odd(surveys, num_classes=None):
    found = findings.oddities(surveys, twins.exact(surveys), twins.near(surveys), num_classes)
    return {it.kind: it for it in found if it.kind != "few images"}


def test_a_good_dataset_is_not_odd(tmp_path: Path):
    surveys = looked_at(folders(tmp_path / "photos", a=12, b=11))
    assert findings.oddities(surveys, twins.exact(surveys), twins.near(surveys), 2) == []


def test_counts_sizes_and_kinds(tmp_path: Path):
    root = folders(tmp_path / "photos", a=2, b=1)
    (root / "b" / "tall.png").write_bytes(photo(7, 90, 30, "PNG"))
    (root / "b" / "grey.jpg").write_bytes(file_of(Image.fromarray(blocks(40, 40)).convert("L"), "JPEG"))
    found = summaries.summary(looked_at(root)[0])
    assert [(row.name, row.images, row.share) for row in found.classes] == [("a", 2, 0.4), ("b", 3, 0.6)]
    assert (found.width.low, found.width.median, found.width.high) == (30, 64, 64)
    assert (found.height.low, found.height.median, found.height.high) == (40, 48, 90)
    assert (found.landscape, found.portrait, found.square) == (3, 1, 1)
    assert dict(found.kinds) == {"JPEG": 4, "PNG": 1}
    assert dict(found.modes) == {"colour": 4, "grey": 1}
    assert found.bytes == sum(path.stat().st_size for path in root.rglob("*.*"))


@pytest.mark.parametrize("decode", [True, False])
def test_files_that_cannot_be_read(tmp_path: Path, decode: bool):
    root = folders(tmp_path / "photos", a=2, b=2)
    whole = file_of(scene(), "JPEG")
    (root / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "a" / "empty.jpg").write_bytes(b"")
    (root / "a" / "page.jpg").write_bytes(b"<!doctype html>")
    (root / "a" / "bomb.png").write_bytes(png_of_zeros(50_000, 50_000, rows=1))
    (looks,) = looked_at(root, decode=decode)
    names = {looks.dataset.name(k): reason for k, reason in looks.faults.items()}
    assert sorted(names) == ["a/bomb.png", "a/cut.jpg", "a/empty.jpg", "a/page.jpg"]
    assert "truncated" in names["a/cut.jpg"]
    assert names["a/empty.jpg"] == "the file is empty"
    assert "not an image" in names["a/page.jpg"]
    assert "too many" in names["a/bomb.png"]
    assert summaries.summary(looks).readable == 4


def test_damage_in_the_middle_is_found_by_decoding_alone(tmp_path: Path):
    root = folders(tmp_path / "photos", a=2, b=2)
    data = bytearray(file_of(scene(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    (root / "a" / "damaged.png").write_bytes(data)
    assert len(looked_at(root, decode=True)[0].faults) == 1
    quick = looked_at(root, decode=False)[0]
    assert (quick.faults, summaries.summary(quick).decoded) == ({}, 0)


def test_twins_in_a_class_between_classes_and_between_datasets(tmp_path: Path):
    train, test = folders(tmp_path / "train", a=3, b=3), tmp_path / "test"
    shutil.copy(train / "a" / "0.jpg", train / "a" / "again.jpg")
    shutil.copy(train / "a" / "1.jpg", train / "b" / "other.jpg")
    (test / "a").mkdir(parents=True)
    shutil.copy(train / "a" / "2.jpg", test / "a" / "leaked.jpg")
    found = odd(looked_at(train, test))
    names = Path(tmp_path.name)
    assert found["the same file"].said == f"{names}/train: a/0.jpg = {names}/train: a/again.jpg"
    assert not found["the same file"].grave
    assert found["the same file in two classes"].said.endswith("a/1.jpg = " + f"{names}/train: b/other.jpg")
    assert found["the same file in two classes"].grave
    assert found["the same file in two datasets"].said.endswith(f"= {names}/test: a/leaked.jpg")
    assert found["the same file in two datasets"].grave


def test_a_photo_that_was_saved_again_smaller_is_nearly_the_same(tmp_path: Path):
    root = folders(tmp_path / "photos", a=8, b=8)
    picture = Image.fromarray(blocks(96, 128, seed=99))
    (root / "a" / "large.png").write_bytes(file_of(picture, "PNG"))
    (root / "b" / "small.jpg").write_bytes(file_of(picture.resize((64, 48), Image.Resampling.BOX), "JPEG", quality=85))
    found = odd(looked_at(root))
    assert found["nearly the same picture in two classes"].said == "a/large.png = b/small.jpg"
    assert "the same file" not in found


def test_odd_shapes_and_names(tmp_path: Path):
    root = folders(tmp_path / "photos", a=1, b=1)
    (root / "a" / "long.jpg").write_bytes(photo(3, 32, 400))
    (root / "a" / "tiny.jpg").write_bytes(photo(4, 10, 12))
    (root / "b" / "named.png").write_bytes(photo(5))
    found = odd(looked_at(root))
    assert found["very long"].said == "a/long.jpg: 400 x 32"
    assert found["very small"].said == "a/tiny.jpg: 12 x 10"
    assert found["another kind than its name says"].said == "b/named.png is a JPEG; it is read all the same"


def test_labels_that_cannot_be_right(tmp_path: Path):
    surveys = looked_at(record_file(tmp_path / "x.rec", [0, 1, 4, -1, 1.5]))
    texts = [it.said for it in findings.oddities(surveys, [], [], 3) if it.kind == "labels"]
    assert texts == [
        "record 3 of x.rec has the label -1; labels are whole numbers from 0",
        "record 4 of x.rec has the label 1.5; labels are whole numbers from 0",
        "record 2 of x.rec has the label 4, but 3 classes end at 2",
        "1 of the classes 0 … 2 have no image: 2",
    ]
    assert "2 of the classes 0 … 4 have no image: 2, 3" in [it.said for it in findings.oddities(surveys, [], [], None)]


def test_labels_that_are_too_large_are_told_as_such(tmp_path: Path):
    labels = (4e9, 1e300, 0.0, 1.0)
    write_lst(tmp_path / "x.lst", [LstLine(k, (label,), f"{k}.jpg") for k, label in enumerate(labels)])
    texts = [it.said for it in findings.oddities(looked_at(tmp_path / "x.lst"), [], [], None) if it.kind == "labels"]
    assert texts == [
        "0.jpg has the label 4000000000; class ids end at 16777215",
        "1.jpg has a label beyond float32 (3.4e+38); labels are whole numbers from 0",
    ]


def test_what_train_refuses_is_grave(tmp_path: Path, monkeypatch):
    one = odd(looked_at(folders(tmp_path / "one", a=12)))
    assert one["one class"].said == "all images are of one class (a); two are needed to tell apart"
    lone = odd(looked_at(folders(tmp_path / "lone", a=12, b=1)))
    assert lone["too few images"].said == "b has 1; training needs 2 at least, better dozens"
    root = folders(tmp_path / "closed", a=12, b=12, c=12)
    close(root / "b", monkeypatch)
    closed = odd(looked_at(root))
    assert all(it.grave for it in (one["one class"], lone["too few images"], closed["folders that cannot be read"]))


def test_one_image_of_a_class_is_enough_in_validation_and_in_records(tmp_path: Path):
    surveys = looked_at(folders(tmp_path / "x", a=12, b=12), folders(tmp_path / "y", a=1))
    assert not {"one class", "too few images"} & set(odd(surveys))
    assert "too few images" not in odd(looked_at(record_file(tmp_path / "x.rec", [0, 0, 1])))


def test_several_labels_an_image(tmp_path: Path):
    surveys = looked_at(record_file(tmp_path / "x.rec", [[1, 0, 1], [0, 1, 1], [1, 1], [0, 2, 1]]))
    found = summaries.summary(surveys[0])
    assert (found.multi_label, [row.images for row in found.classes]) == (3, [2, 2, 3])
    assert [it.said for it in findings.oddities(surveys, [], [], None)] == [
        "record 2 of x.rec has 2 label(s), others have 3",
        "record 3 of x.rec has labels that are not 0 or 1",
    ]
    assert summaries.suggestion(found)["multi_label"] == "1"


def test_datasets_whose_classes_differ(tmp_path: Path):
    found = odd(looked_at(folders(tmp_path / "x", cat=1, dog=1), folders(tmp_path / "y", cat=1, fox=1)))
    assert "classes differ" in found


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (300, 400, {"image_shape": "3,224,224", "resize": "256"}),
        (240, 300, {"image_shape": "3,224,224"}),
        (130, 130, {"image_shape": "3,112,112", "resize": "128"}),
        (28, 28, {"image_shape": "3,32,32"}),
    ],
)
def test_the_suggestion_follows_the_sizes(tmp_path: Path, height: int, width: int, expected: dict[str, str]):
    surveys = looked_at(record_file(tmp_path / "x.rec", [0, 1] * 20, [photo(k, height, width) for k in range(40)]))
    counts = {"num_classes": "2", "num_training_samples": "40"}
    assert summaries.suggestion(summaries.summary(surveys[0])) == counts | expected


def test_grey_images_suggest_one_channel(tmp_path: Path):
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8))
    buffer = io.BytesIO()
    grey.save(buffer, "PNG")
    surveys = looked_at(record_file(tmp_path / "x.rec", [0] * 32, [buffer.getvalue()] * 32))
    assert summaries.suggestion(summaries.summary(surveys[0]))["image_shape"] == "1,32,32"


@needs_nasty
def test_hostile_files_are_looked_at_and_told_apart(tmp_path: Path):
    (tmp_path / "set" / "odd").mkdir(parents=True)
    for path in NASTY.iterdir():
        shutil.copy(path, tmp_path / "set" / "odd")
    for decode in (True, False):
        (looks,) = looked_at(tmp_path / "set", decode=decode)
        names = {looks.dataset.name(k) for k in looks.faults}
        assert {"odd/pillow__decompression_bomb.gif", "odd/pillow__bmp_b_reallybig.bmp"} <= names
        assert {"odd/libvips__truncated.jpg", "odd/pillow__truncated_image.png"} <= names
        assert "odd/pillow__hopper.bmp" not in names
