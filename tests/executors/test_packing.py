"""model.tar.gz and output.tar.gz: the same files give the same bytes; killed in the middle, it is done again."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.executors import records
from darkroom.executors.packing import main, pack
from darkroom.executors.removal import remove


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "ml/model").mkdir(parents=True)
    (tmp_path / "ml/output/data").mkdir(parents=True)
    records.write(
        tmp_path,
        records.LAUNCH,
        {"base": str(tmp_path / "ml"), "log": str(tmp_path / "log"), "changes": str(tmp_path / "nobody")},
    )
    yield tmp_path
    remove(tmp_path / "ml")  # pytest itself could not remove what is nested too deep, and would fail three runs later


def fill(folder: Path) -> None:
    (folder / "ml/model/b").mkdir()
    (folder / "ml/model/b/net.params").write_bytes(b"n" * 100_000)
    (folder / "ml/model/a.json").write_text("{}")
    (folder / "ml/model/empty").mkdir()


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_names_are_relative_and_sorted(folder: Path) -> None:
    fill(folder)
    main(str(folder))
    assert names(folder / "model.tar.gz") == ["a.json", "b", "b/net.params", "empty"]
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert (record["model.tar.gz"], record["output.tar.gz"], record["failure"]) == (True, False, "")
    assert not (folder / "output.tar.gz").exists()


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    fill(folder)
    assert pack(str(folder / "ml"), "model", str(folder / "one"), [])
    for path in (folder / "ml/model").rglob("*"):
        os.utime(path, (1, 1))
    assert pack(str(folder / "ml"), "model", str(folder / "other"), [])
    assert (folder / "one").read_bytes() == (folder / "other").read_bytes()


def test_an_interrupted_packing_leaves_nothing_half(folder: Path) -> None:
    fill(folder)
    (folder / "model.tar.gz.partial").write_bytes(b"half")  # killed here
    main(str(folder))
    assert sorted(path.name for path in folder.glob("*.tar.gz*")) == ["model.tar.gz"]


def test_packing_twice_packs_once(folder: Path) -> None:
    fill(folder)
    main(str(folder))
    before = (folder / "model.tar.gz").stat()
    main(str(folder))
    assert (folder / "model.tar.gz").stat() == before


def test_what_cannot_be_packed_is_a_failure_with_its_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda *_: full(0))
        with pytest.raises(OSError, match="No space"):
            pack(str(folder / "ml"), "model", str(folder / "model.tar.gz"), [])
    (folder / "model.tar.gz.partial").unlink()
    (folder / "model.tar.gz.partial").mkdir()  # cannot be opened
    main(str(folder))
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert record["failure"] == "cannot pack /opt/ml/model into model.tar.gz: Is a directory"
    assert not record["model.tar.gz"]


def test_links_and_odd_files(folder: Path) -> None:
    model = folder / "ml/model"
    (model / "real").write_text("r")
    (model / "to-file").symlink_to("real")
    (model / "as-the-job-sees-it").symlink_to("/opt/ml/model/real")
    (model / "to-passwd").symlink_to("/etc/passwd")
    (model / "up").symlink_to("../output")
    os.mkfifo(model / "pipe")
    notes: list[str] = []
    assert pack(str(folder / "ml"), "model", str(folder / "out"), notes)
    with tarfile.open(folder / "out") as tar:
        links = {member.name: member.linkname for member in tar}
    assert links == {"real": "", "to-file": "real", "as-the-job-sees-it": "real"}
    assert [note.split()[0] for note in notes] == ["pipe", "to-passwd", "up"]


def nested(folder: Path, depth: int) -> None:
    here = os.getcwd()
    os.chdir(folder)
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    Path("file").write_text("deep")
    os.chdir(here)


def test_folders_nested_deeper_than_the_stack_are_packed(folder: Path) -> None:
    nested(folder / "ml/model", 1100)
    main(str(folder))
    assert names(folder / "model.tar.gz")[-1].count("/") == 1100


def test_folders_nested_deeper_than_a_path_are_a_failure_not_a_crash(folder: Path) -> None:
    nested(folder / "ml/model", 3000)
    main(str(folder))
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert record["failure"] == "cannot pack /opt/ml/model into model.tar.gz: File name too long"


@pytest.mark.parametrize("below", ["model", "output/data", "output"])
def test_a_link_in_place_of_a_folder_is_not_followed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, below: str
) -> None:
    secret = tmp_path_factory.mktemp("outside")
    (secret / "data").mkdir()
    (secret / "data/secret").write_text("s")
    remove(folder / "ml" / below)
    (folder / "ml" / below).symlink_to(secret)
    main(str(folder))
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert record["failure"].endswith("the job put a link in its place")
    assert (record["model.tar.gz"], record["output.tar.gz"]) == (False, False)


def test_a_folder_that_the_job_removed_is_an_empty_one(folder: Path) -> None:
    remove(folder / "ml/model")
    main(str(folder))
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert (record["model.tar.gz"], record["failure"]) == (False, "")


def test_a_sparse_file_of_terabytes_is_not_read(folder: Path) -> None:
    with open(folder / "ml/model/sparse", "wb") as file:
        file.truncate(2**42)
    main(str(folder))
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert record["failure"].startswith(f"cannot pack /opt/ml/model into model.tar.gz: its files have {2**42} bytes")


def test_a_full_disk_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of training are in that folder: they must not be given up for a disk that someone will clear."""
    fill(folder)
    monkeypatch.setattr(records, "RETRY_S", 0.01)
    tries = iter([OSError(28, "No space left on device")] * 3)
    sync = os.fsync

    def full(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".partial") and (error := next(tries, None)):
            raise error
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    main(str(folder))
    record = records.read(folder, records.PACKED)
    assert record is not None
    assert (record["model.tar.gz"], record["failure"]) == (True, "")
    assert (folder / "log").read_text().count("had to wait: No space left on device") == 1
