"""What the classes are called: by folders, where label and folder stand for each other one to one."""

from pathlib import Path

import pytest

from darkroom.algorithm import class_names
from darkroom.algorithm.data.samples import FolderSamples, ListedSamples
from darkroom.algorithm.failures import CustomerError
from darkroom.formats.lst import LstLine


def found(*pairs, num_classes=2):
    lines = [LstLine(k, (float(label),), path) for k, (label, path) in enumerate(pairs)]
    return class_names.find({}, [], ListedSamples(lines, Path("x.lst"), Path()), num_classes)[0]


def test_one_folder_a_class():
    assert found((1, "dog/a.jpg"), (0, "cat/x/b.jpg"), (1, "dog/c.jpg")) == ("cat", "dog")


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, "cat/a.jpg"), (1, "b.jpg")],  # no folder
        [(0, "cat/a.jpg"), (0, "dog/b.jpg"), (1, "owl/c.jpg")],  # two folders of one class
        [(0, "cat/a.jpg"), (1, "cat/b.jpg")],  # one folder of two classes
        [(0, "cat/a.jpg")],  # a class without images
        [(0, "train/cat.jpg"), (1, "train/dog.jpg")],  # the folder is not the class
    ],
)
def test_folders_that_are_no_names(pairs):
    assert found(*pairs) is None


def test_the_environment_comes_first(tmp_path):
    (tmp_path / "classes.txt").write_text("a\nb\n")
    none = ListedSamples([], Path("x.lst"), Path())
    assert class_names.find({"DARKROOM_CLASSES": '["c", "d"]'}, [tmp_path], none, 2)[0] == ("c", "d")
    assert class_names.find({}, [tmp_path], none, 2)[0] == ("a", "b")


@pytest.mark.parametrize("text", ["cat", "{}", "[1, 2]", '"cat"'])
def test_a_list_that_is_none(text):
    with pytest.raises(CustomerError, match="must be a JSON list of names"):
        class_names.find({"DARKROOM_CLASSES": text}, [], ListedSamples([], Path("x.lst"), Path()), 2)


@pytest.mark.parametrize(
    ("given", "expected", "words"),
    [
        ('["n1", "n2"]', ("n1", "n2"), ""),
        ('["cat", "dog"]', ("cat", "dog"), ""),
        ('["dog", "cat"]', ("cat", "dog"), "DARKROOM_CLASSES has another order than the class folders"),
        ('["n1"]', ("cat", "dog"), "DARKROOM_CLASSES has 1 names for 2 class folders"),
    ],
)
def test_class_folders_may_be_renamed_and_not_confused(given, expected, words):
    names, fault = class_names.find(
        {"DARKROOM_CLASSES": given}, [], FolderSamples([], ("cat", "dog"), Path()), num_classes=2
    )
    assert names == expected
    assert fault.startswith(words)
    assert bool(fault) == bool(words)
