"""A model.tar.gz from anywhere: nothing leaves the folder, and nothing fills the disk."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from darkroom.formats import archives
from darkroom.formats.archives import BadArchive, unpack
from darkroom.testing.archives import tar_gz

SOURCE = "s3://photos/m/model.tar.gz"


def member(kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname, info.size = kind, target, size
    return info


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    return path


def test_members_land_in_the_folder(tmp_path: Path, folder: Path) -> None:
    made = tar_gz({"": None, "./": None, "./a.params": b"a", "code/": None, "code/inference.py": b"c"})
    unpack(write(tmp_path, made), folder, SOURCE)
    assert {str(p.relative_to(folder)) for p in folder.rglob("*")} == {"a.params", "code", "code/inference.py"}


def test_a_plain_tar_is_taken_too(tmp_path: Path, folder: Path) -> None:
    unpack(write(tmp_path, gzip.decompress(tar_gz({"a": b"a"}))), folder, SOURCE)
    assert (folder / "a").read_bytes() == b"a"


def test_links_inside_are_kept(tmp_path: Path, folder: Path) -> None:
    made = tar_gz({"real": b"r", "soft": member(tarfile.SYMTYPE, "real"), "hard": member(tarfile.LNKTYPE, "real")})
    unpack(write(tmp_path, made), folder, SOURCE)
    assert [(folder / name).read_bytes() for name in ("soft", "hard")] == [b"r", b"r"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("../escape", b"x"),
        ("/tmp/escape", b"x"),
        ("deep/../../escape", b"x"),
        ("link", member(tarfile.SYMTYPE, "/etc/passwd")),
        ("link", member(tarfile.SYMTYPE, "../../escape")),
        ("link", member(tarfile.LNKTYPE, "../escape")),
        ("pipe", member(tarfile.FIFOTYPE)),
        ("disk", member(tarfile.BLKTYPE)),
    ],
)
def test_members_that_lead_outside_are_refused(
    tmp_path: Path, folder: Path, name: str, value: bytes | tarfile.TarInfo
) -> None:
    with pytest.raises(BadArchive, match=f"{SOURCE} holds a member that may not be unpacked"):
        unpack(write(tmp_path, tar_gz({name: value})), folder, SOURCE)
    assert os.listdir(folder) == []


def test_a_link_cannot_be_written_through(tmp_path: Path, folder: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "door").symlink_to(outside)  # an earlier member cannot make this one; even so nothing passes it
    with pytest.raises(BadArchive):
        unpack(write(tmp_path, tar_gz({"door/thief": b"x"})), folder, SOURCE)
    assert os.listdir(outside) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive at all " * 100,
        tar_gz({"a": os.urandom(200_000)})[:100_000],
        gzip.compress(b"not a tar" * 200, mtime=0),
    ],
)
def test_what_is_no_whole_archive_is_said_so(tmp_path: Path, folder: Path, content: bytes) -> None:
    with pytest.raises(BadArchive, match=f"{SOURCE} is not a complete gzipped tar archive"):
        unpack(write(tmp_path, content), folder, SOURCE)


def test_a_damaged_archive_is_said_so(tmp_path: Path, folder: Path) -> None:
    content = bytearray(tar_gz({"a": os.urandom(200_000)}))
    content[1000:1010] = bytes(10)
    with pytest.raises(BadArchive, match="not a complete"):
        unpack(write(tmp_path, bytes(content)), folder, SOURCE)


def test_a_bomb_is_refused_before_it_fills_the_disk(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_APPLIES_FROM_BYTES", 10_000)
    with pytest.raises(BadArchive, match="unpacks to more than"):
        unpack(write(tmp_path, tar_gz({"zeros": bytes(4_000_000)})), folder, SOURCE)
    assert (folder / "zeros").stat().st_size < 2_000_000


def test_headers_cannot_fill_the_memory(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RATIO_APPLIES_FROM_BYTES", 10_000)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"comment": "x" * 4_000_000}
        tar.addfile(info)
    with pytest.raises(BadArchive, match="unpacks to more than"):
        unpack(write(tmp_path, buffer.getvalue()), folder, SOURCE)


def test_a_chain_of_links_too_long_to_resolve_leads_nobody_outside(tmp_path: Path, folder: Path) -> None:
    """CVE-2025-4517: past PATH_MAX, realpath gives up quietly, and the standard filter with it."""
    long = "d" * 247
    members: dict[str, bytes | tarfile.TarInfo | None] = {}
    steps = "abcdefghijklmnop"
    path = ""
    for step in steps:
        members[os.path.join(path, long)] = None
        members[os.path.join(path, step)] = member(tarfile.SYMTYPE, long)
        path = os.path.join(path, long)
    through = os.path.join("/".join(steps), "l" * 254)
    members[through] = member(tarfile.SYMTYPE, "../" * len(steps))
    members["escape"] = member(tarfile.SYMTYPE, through + "/..")
    members["escape/thief"] = b"x"
    with pytest.raises(BadArchive):
        unpack(write(tmp_path, tar_gz(members)), folder, SOURCE)
    assert sorted(os.listdir(tmp_path)) == ["into", "model.tar.gz"]


def test_links_are_not_made_below_links(tmp_path: Path, folder: Path) -> None:
    made = tar_gz({"in": None, "a": member(tarfile.SYMTYPE, "in"), "a/b": member(tarfile.SYMTYPE, "x")})
    with pytest.raises(BadArchive):
        unpack(write(tmp_path, made), folder, SOURCE)
    assert os.listdir(folder / "in") == []


def test_a_hard_link_to_nothing_is_said_so(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BadArchive, match="'a' is a link to 'b', which is not there"):
        unpack(write(tmp_path, tar_gz({"a": member(tarfile.LNKTYPE, "b")})), folder, SOURCE)


def test_links_in_circles_and_to_nowhere_do_no_harm(tmp_path: Path, folder: Path) -> None:
    made = {"loop": member(tarfile.SYMTYPE, "loop"), "nowhere": member(tarfile.SYMTYPE, "nothing"), "file": b"f"}
    unpack(write(tmp_path, tar_gz(made)), folder, SOURCE)
    assert sorted(os.listdir(folder)) == ["file", "loop", "nowhere"]


def test_a_huge_name_cannot_fill_the_memory(tmp_path: Path, folder: Path) -> None:
    """Well within the bound on what comes out, but all of it in one string."""
    header = member(tarfile.GNUTYPE_LONGNAME, size=archives.MAX_EXTENDED_BYTES + 1)
    header.name = "././@LongLink"
    content = header.tobuf(tarfile.GNU_FORMAT) + bytes(archives.MAX_EXTENDED_BYTES + 10_240)
    with pytest.raises(BadArchive, match=f"names and attributes of more than {archives.MAX_EXTENDED_BYTES} bytes"):
        unpack(write(tmp_path, gzip.compress(content, mtime=0)), folder, SOURCE)


def test_members_without_number_are_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with pytest.raises(BadArchive, match="more than 3 members"):
        unpack(write(tmp_path, tar_gz(dict.fromkeys("abcd", b""))), folder, SOURCE)


def test_headers_upon_headers_are_refused(tmp_path: Path, folder: Path) -> None:
    header = member(tarfile.XGLTYPE, size=0).tobuf(tarfile.PAX_FORMAT)
    with pytest.raises(BadArchive, match="not a complete"):
        unpack(write(tmp_path, gzip.compress(header * 5000, mtime=0)), folder, SOURCE)
