from collections import Counter

import pytest

from darkroom.formats.folders import Dataset, FolderError, Sample, pack, scan, split
from darkroom.formats.recordio import RecordFile
from tests.inspection.sets import close


@pytest.fixture
def photos(tmp_path):
    for name in [
        "dog/2.JPG",
        "dog/1.jpeg",
        "dog/pup/0.png",
        "Cat/a.jpg",
        "Cat/notes.txt",
        "empty/readme.md",
        "loose.jpg",
    ]:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    for name in [".thumbnails/a.jpg", "__MACOSX/a.jpg", "dog/.hidden.jpg"]:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"hidden")
    return tmp_path / "photos"


def dataset(*counts: int) -> Dataset:
    samples = [Sample(f"{label}/{n}", label) for label, count in enumerate(counts) for n in range(count)]
    return Dataset(tuple(map(str, range(len(counts)))), tuple(samples))


def test_class_folders_in_byte_order(photos):
    found = scan(photos)
    assert found.classes == ("Cat", "dog")
    names = [(str(sample.path.relative_to(photos)), sample.label) for sample in found.samples]
    assert names == [("Cat/a.jpg", 0), ("dog/1.jpeg", 1), ("dog/2.JPG", 1), ("dog/pup/0.png", 1)]


def test_a_folder_without_class_folders_says_what_to_do(tmp_path):
    with pytest.raises(FolderError, match="put the photos of each class into a folder named after the class"):
        scan(tmp_path)
    with pytest.raises(FolderError, match="is not a folder; name one that holds"):
        scan(tmp_path / "missing")


@pytest.mark.parametrize("closed", ["dog", "dog/pup"])
def test_a_folder_that_cannot_be_read_is_named_and_not_passed_over(photos, monkeypatch, closed):
    close(photos / closed, monkeypatch)
    with pytest.raises(FolderError, match=rf"{photos / closed} cannot be read \(Permission denied\); make it readable"):
        scan(photos)


def test_the_lost_and_found_of_a_file_system_is_no_class(photos, monkeypatch):
    (photos / "lost+found").mkdir()
    close(photos / "lost+found", monkeypatch)
    assert scan(photos).classes == ("Cat", "dog")


def test_every_class_gives_its_share():
    train, held_out = split(dataset(100, 10, 3, 2, 1), 0.2, seed=1)
    assert Counter(sample.label for sample in held_out) == {0: 20, 1: 2, 2: 1, 3: 1}
    assert Counter(sample.label for sample in train) == {0: 80, 1: 8, 2: 2, 3: 1, 4: 1}
    assert set(train) | set(held_out) == set(dataset(100, 10, 3, 2, 1).samples)


def test_the_seed_decides_the_split():
    assert split(dataset(50, 50), 0.3, seed=4) == split(dataset(50, 50), 0.3, seed=4)
    assert split(dataset(50, 50), 0.3, seed=4) != split(dataset(50, 50), 0.3, seed=5)
    train, _ = split(dataset(50, 50), 0.3, seed=4)
    assert [sample.label for sample in train] != sorted(sample.label for sample in train)


def test_no_validation_keeps_everything():
    train, held_out = split(dataset(3, 1), 0.0, seed=1)
    assert (len(train), held_out) == (4, ())


@pytest.mark.parametrize("share", [-0.1, 1.0, 20])
def test_a_share_must_be_a_fraction(share):
    with pytest.raises(ValueError, match=r"at least 0 and below 1, for example 0\.2"):
        split(dataset(2), share, seed=1)


def test_packed_bytes_are_the_files_own(photos, tmp_path):
    samples, done = scan(photos).samples, list[int]()
    packed = pack(samples, tmp_path / "train.rec", done.append)
    assert (packed.count, packed.skipped, done) == (4, (), [1, 2, 3, 4])
    file = RecordFile(tmp_path / "train.rec")
    read = [file.image(position) for position in range(4)]
    assert [bytes(data) for _, data in read] == [sample.path.read_bytes() for sample in samples]
    assert [(header.id, header.label.tolist()) for header, _ in read] == [
        (0, [0.0]),
        (1, [1.0]),
        (2, [1.0]),
        (3, [1.0]),
    ]
    assert len((tmp_path / "train.idx").read_text().splitlines()) == 4


def test_unreadable_photos_are_skipped_with_the_reason(photos, tmp_path):
    (photos / "dog/1.jpeg").write_bytes(b"")
    (photos / "dog/2.JPG").unlink()

    def read(path):
        data = path.read_bytes()
        if path.suffix == ".png":
            raise ValueError("not a photo")
        return data

    samples = (*scan(photos).samples, Sample(photos / "dog/2.JPG", 1))
    packed = pack(samples, tmp_path / "train.rec", read=read, threads=1)
    assert packed.count == 1
    reasons = {path.name: reason for path, reason in packed.skipped}
    assert reasons["1.jpeg"] == "the file is empty"
    assert reasons["0.png"] == "not a photo"
    assert "No such file" in reasons["2.JPG"]
    assert [header.id for header, _ in map(RecordFile(tmp_path / "train.rec").image, range(1))] == [0]


def test_a_failure_that_is_no_photos_fault_leaves_no_file(photos, tmp_path):
    def read(path):
        raise MemoryError

    with pytest.raises(MemoryError):
        pack(scan(photos).samples, tmp_path / "train.rec", read=read)
    assert list(tmp_path.iterdir()) == [photos]
