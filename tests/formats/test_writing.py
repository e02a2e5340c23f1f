"""What a writer leaves on disk where it cannot write."""

import os

import pytest

from darkroom.formats.recordio import RecordFile
from darkroom.formats.writing import RecordWriter


@pytest.fixture
def path(tmp_path):
    with RecordWriter(tmp_path / "set.rec") as writer:
        writer.write(b"earlier")
    return tmp_path / "set.rec"


def write(path, payload=b"later"):
    with RecordWriter(path) as writer:
        writer.write(payload)


def left(path):
    """The names in the folder and the records of the file."""
    with RecordFile(path) as file:
        return sorted(entry.name for entry in path.parent.iterdir()), [bytes(file[k]) for k in range(len(file))]


@pytest.mark.parametrize("size", [5, 3 << 20])  # found when the file is closed, and before
@pytest.mark.parametrize("part", ["set.rec.part", "set.idx.part"])
def test_a_full_disk_leaves_what_was_there(path, size, part):
    before = left(path)
    (path.parent / part).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        write(path, bytes(size))
    assert left(path) == before


@pytest.mark.parametrize("name", ["set.idx", "set.rec"])
def test_a_folder_in_the_way_is_said_before_anything_is_written(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=name):
        write(tmp_path / "set.rec")
    assert os.listdir(tmp_path) == [name]


def test_an_abandoned_file_stays_abandoned(path):
    before = left(path)
    with RecordWriter(path) as writer:
        writer.write(b"later")
        writer.abandon()
    assert left(path) == before
