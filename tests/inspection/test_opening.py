"""What a path stands for, and what is said of the place itself."""

import os
from pathlib import Path

import numpy as np
import pytest

from darkroom.formats import folders as training
from darkroom.formats.lst import LstLine, write_lst
from darkroom.inspection.datasets import DatasetError
from darkroom.inspection.opening import open_all
from tests.inspection.sets import close, folders, photo, record_file


def said(dataset):
    return [f"{remark.kind}: {remark.said}" for remark in dataset.remarks]


def test_class_folders_are_seen_as_training_sees_them(tmp_path: Path):
    root = folders(tmp_path / "photos", b=2, a=3, É=1)
    (root / "a" / "deeper" / "still").mkdir(parents=True)
    (root / "a" / "deeper" / "still" / "x.PNG").write_bytes(photo(9, kind="PNG"))
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.jpg").write_bytes(photo(1))
    (root / "__MACOSX").mkdir()
    (dataset,) = open_all(root)
    known = training.scan(root)
    assert list(dataset.names) == list(known.classes)
    assert [(root / dataset.name(k), int(dataset.labels[k, 0])) for k in range(len(dataset))] == [
        (sample.path, sample.label) for sample in known.samples
    ]
    assert said(dataset) == []


def test_what_training_would_leave_out_is_said(tmp_path: Path):
    root = folders(tmp_path / "photos", a=1, b=1)
    (root / "empty").mkdir()
    (root / "loose.jpg").write_bytes(photo(1))
    (root / "a" / "notes.txt").write_text("no photo")
    (dataset,) = open_all(root)
    assert said(dataset) == [
        "empty classes: the folder empty holds no photo",
        "photos in no class: 1 lie right in the folder: loose.jpg",
        "files that are no photos by their names: 1 .txt; training leaves them out",
    ]
    assert list(dataset.names) == ["a", "b"]


def test_a_folder_that_cannot_be_read_is_said_and_keeps_its_label(tmp_path: Path, monkeypatch):
    root = folders(tmp_path / "photos", a=1, b=1, c=1)
    close(root / "b", monkeypatch)
    (dataset,) = open_all(root)
    (remark,) = said(dataset)
    assert remark.startswith("folders that cannot be read: the folder b cannot be read (Permission denied)")
    assert (list(dataset.names), dataset.labels[:, 0].tolist()) == (["a", "b", "c"], [0, 2])


def test_where_every_folder_is_closed_that_is_the_reason(tmp_path: Path, monkeypatch):
    root = folders(tmp_path / "photos", b=1)
    close(root / "b", monkeypatch)
    with pytest.raises(DatasetError, match="the folder b cannot be read"):
        open_all(root)


def test_the_lost_and_found_of_a_file_system_is_no_class(tmp_path: Path, monkeypatch):
    root = folders(tmp_path / "photos", **{"a": 1, "b": 1, "lost+found": 0})
    close(root / "lost+found", monkeypatch)
    (dataset,) = open_all(root)
    assert (list(dataset.names), said(dataset)) == (["a", "b"], [])


def test_names_are_shown_as_they_are_but_for_what_a_terminal_obeys(tmp_path: Path):
    plain = "Bild\u202f10.30\u00a0\u3000👩\u200d🔬"
    root = folders(tmp_path / "photos", **{plain: 1, "b\u202egpj": 1})
    (root / plain / "\x1b[2J\x9b.jpg").write_bytes(photo(1))
    (dataset,) = open_all(root)
    assert [dataset.name(k) for k in range(3)] == [f"{plain}/\ufffd[2J\ufffd.jpg", f"{plain}/0.jpg", "b\ufffdgpj/0.jpg"]


def test_what_lies_on_s3_is_to_be_fetched():
    with pytest.raises(DatasetError, match=r"s3://bucket/x lies on S3: .*aws s3 sync s3://bucket/x FOLDER"):
        open_all(Path("s3://bucket/x"))


def test_links_are_followed_as_training_follows_them_and_said(tmp_path: Path):
    outside = folders(tmp_path / "elsewhere", c=1)
    root = folders(tmp_path / "photos", a=1, b=1)
    (root / "a" / "linked.jpg").symlink_to(outside / "c" / "0.jpg")
    (root / "a" / "inside.jpg").symlink_to(root / "b" / "0.jpg")
    (root / "a" / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    (root / "b" / "folder").symlink_to(outside / "c")
    (root / "c").symlink_to(outside / "c")
    (dataset,) = open_all(root)
    known = [str(sample.path.relative_to(root)) for sample in training.scan(root).samples]
    assert [dataset.name(k) for k in range(len(dataset))] == known
    links = [remark.said for remark in dataset.remarks if remark.kind == "links"]
    assert links[0] == "b/folder is a link to a folder; it is not entered"
    assert links[1].startswith("leading out of the folder, and followed as in training: 3, such as ")
    assert str(outside / "c" / "0.jpg") in links[1]
    nowhere = next(k for k in range(len(dataset)) if dataset.name(k) == "a/nowhere.jpg")
    with pytest.raises(ValueError, match="a link that leads nowhere"):
        dataset.read(nowhere)


def test_a_named_pipe_is_no_photo(tmp_path: Path):
    root = folders(tmp_path / "photos", a=1, b=1)
    os.mkfifo(root / "a" / "pipe.jpg")
    (dataset,) = open_all(root)
    pipe = next(k for k in range(len(dataset)) if dataset.name(k) == "a/pipe.jpg")
    with pytest.raises(ValueError, match="this is no file"):
        dataset.read(pipe)


def test_a_folder_of_splits_has_several_datasets(tmp_path: Path):
    folders(tmp_path / "set" / "test", a=1, b=1)
    folders(tmp_path / "set" / "train", a=2, b=1)
    found = open_all(tmp_path / "set")
    assert [(dataset.title, len(dataset)) for dataset in found] == [("set/train", 3), ("set/test", 2)]


def test_record_files_alone_together_and_by_the_beginning_of_their_names(tmp_path: Path):
    images = [photo(k) for k in range(5)]
    record_file(tmp_path / "part_0.rec", [0, 1, 2], images[:3])
    record_file(tmp_path / "part_1.rec", [1, 0], images[3:])
    (tmp_path / "classes.txt").write_text("ant\nbee\ncat\n")
    for path in (tmp_path, tmp_path / "part", tmp_path / "part_"):
        (dataset,) = open_all(path)
        assert dataset.labels[:, 0].tolist() == [0, 1, 2, 1, 0]
        assert [dataset.read(k) for k in range(5)] == images
        assert dataset.name(4) == "record 1 of part_1.rec"
        assert list(dataset.names) == ["ant", "bee", "cat"]
        assert said(dataset) == []
    (dataset,) = open_all(tmp_path / "part_1.rec")
    assert len(dataset) == 2


def test_records_before_a_damaged_one_are_looked_at(tmp_path: Path):
    path = record_file(tmp_path / "x.rec", [0, 1, 2])
    path.write_bytes(path.read_bytes()[:-20])
    (dataset,) = open_all(path)
    assert len(dataset) == 2
    assert dataset.read(1) == photo(1)
    (remark,) = said(dataset)
    assert remark.startswith("damaged records: ")
    assert remark.endswith("the 2 records before it are looked at")


def test_an_index_of_another_file_is_said(tmp_path: Path):
    path = record_file(tmp_path / "x.rec", [0, 1, 2])
    (tmp_path / "x.idx").write_text("0\t0\n1\t99\n")
    (dataset,) = open_all(path)
    assert said(dataset) == [
        "the index: x.idx does not fit x.rec: it names 2 records of 3; make both again with im2rec"
    ]


def test_a_list_with_its_folder(tmp_path: Path):
    folders(tmp_path / "photos", a=2, b=1)
    lines = [("a/0.jpg", 0.0), ("b/0.jpg", 1.0), ("a/gone.jpg", 0.0), ("../outside.jpg", 1.0)]
    write_lst(tmp_path / "x.lst", [LstLine(k, (label,), path) for k, (path, label) in enumerate(lines)])
    (dataset,) = open_all(tmp_path / "x.lst", tmp_path / "photos")
    assert [dataset.name(k) for k in range(len(dataset))] == ["a/0.jpg", "b/0.jpg", "a/gone.jpg"]
    assert dataset.read(1) == photo(2)
    with pytest.raises(ValueError, match="there is no such file"):
        dataset.read(2)
    assert said(dataset) == [f"the list: line 4: ../outside.jpg leads out of {tmp_path / 'photos'}"]


def test_rows_of_labels(tmp_path: Path):
    (dataset,) = open_all(record_file(tmp_path / "x.rec", [[1, 0, 1], [0, 1, 0]]))
    assert dataset.labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    (ragged,) = open_all(record_file(tmp_path / "y.rec", [[1, 0], [1]]))
    assert np.isnan(ragged.labels[1, 1])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "there is no"),
        ("x.txt", "is no dataset"),
        ("empty", "neither class folders"),
        ("x.rec", "no record"),
        ("flat", "holds 1 photos and no class folders"),
    ],
)
def test_what_is_no_dataset_says_what_one_is(tmp_path: Path, name: str, reason: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "x.jpg").write_bytes(photo(1))
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "x.rec").write_bytes(b"")
    with pytest.raises(DatasetError, match=reason):
        open_all(tmp_path / name)
