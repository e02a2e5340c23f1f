"""Packs what a job left in /opt/ml into model.tar.gz and output.tar.gz.

The launcher becomes this when the job has ended: ``python -m darkroom.executors.packing FOLDER``. Archives hold flat
relative names, sorted, with fixed owners and times, so that the same files give the same bytes. Links that lead
outside are left out, and the log says so.
"""

import errno
import gzip
import os
import stat
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress

from darkroom.contract.logs import Writer
from darkroom.executors import records
from darkroom.executors.isolation import OPT_ML

MAX_BYTES = 64 * 2**30  # of all files; ``archives`` unpacks no more. A sparse file may claim anything.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LEVEL = 1  # weights hardly shrink: speed counts
FOLDERS = {records.MODEL_ARCHIVE: "model", records.OUTPUT_ARCHIVE: os.path.join("output", "data")}


def main(folder: str) -> None:
    spec = records.read(folder, records.LAUNCH)
    assert spec is not None, f"{folder} has no {records.LAUNCH}"
    if records.read(folder, records.PACKED) is not None:
        return
    record: records.Record = {"failure": ""}
    notes: list[str] = []
    for archive, below in FOLDERS.items():
        try:
            packed = _pack_when_there_is_room(folder, below, archive, notes)
        except OSError as error:
            packed = False
            record["failure"] = f"cannot pack /opt/ml/{below} into {archive}: {error.strerror or error}"
        record[archive] = packed
    now_ms = time.time_ns() // 10**6
    if notes:
        with suppress(OSError):  # a full disk, or a home that was moved: the archives count more
            Writer(spec["log"]).write((now_ms, f"darkroom: {note}") for note in dict.fromkeys(notes))
    records.write_in_the_end(folder, records.PACKED, record | {"at_ms": now_ms})
    records.announce(spec["changes"], os.path.basename(folder))


def _pack_when_there_is_room(folder: str, below: str, archive: str, notes: list[str]) -> bool:
    """Pack, waiting for a full disk to have room: what was learned must not be given up for it."""
    while True:
        found: list[str] = []
        try:
            packed = pack(os.path.join(folder, records.BASE), below, os.path.join(folder, archive), found)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            notes.append(f"{archive} had to wait: {error.strerror}")
            time.sleep(records.RETRY_S)
        else:
            notes += found
            return packed


def pack(base: str, below: str, target: str, notes: list[str]) -> bool:
    """Archive what a folder below /opt/ml holds, whole or not at all; False, and no archive, where it holds nothing.

    Raises OSError, also for what is no folder of the job's own, or is larger than anybody would unpack.
    """
    source = os.path.join(base, below)
    if not os.path.lexists(source):
        return False
    if os.path.realpath(source) != os.path.join(os.path.realpath(base), below):
        raise OSError(errno.ENOTDIR, "the job put a link in its place")
    members = list(_members(base, source, notes))
    if not members:
        return False
    if (size := sum(os.lstat(path).st_size for path, member in members if member.isreg())) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"its files have {size} bytes, more than {MAX_BYTES}")
    partial = f"{target}.partial"
    try:
        _write_archive(partial, members)
    except OSError:
        with suppress(OSError):
            os.unlink(partial)
        raise
    os.replace(partial, target)
    records.sync_folder(os.path.dirname(target))
    return True


def _write_archive(path: str, members: list[tuple[str, tarfile.TarInfo]]) -> None:
    with open(path, "wb") as file:
        with (
            gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for content, member in members:
                _add(archive, content, member)
        file.flush()
        os.fsync(file.fileno())


def _add(archive: tarfile.TarFile, path: str, member: tarfile.TarInfo) -> None:
    if not member.isreg():
        archive.addfile(member)
        return
    with open(path, "rb") as content:
        member.size = os.fstat(content.fileno()).st_size
        archive.addfile(member, content)


def _members(base: str, root: str, notes: list[str]) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """(path, member) of everything below a folder, in order of name. Depth costs no stack: a job may nest folders."""
    ahead = [_entries(root)]
    while ahead:
        entry = next(ahead[-1], None)
        if entry is None:
            ahead.pop()
            continue
        name = os.path.relpath(entry.path, root)
        member = tarfile.TarInfo(name)
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            yield entry.path, member
            ahead.append(_entries(entry.path))
        elif stat.S_ISREG(mode):
            member.mode = 0o755 if mode & stat.S_IXUSR else 0o644
            yield entry.path, member
        elif stat.S_ISLNK(mode) and (link := _inner_link(base, root, entry.path)) is not None:
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, link, 0o777
            yield entry.path, member
        else:
            notes.append(f"{name} was left out of the archive: it is neither a file nor a link to one beside it")


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    return iter(sorted(os.scandir(folder), key=lambda entry: entry.name))


def _inner_link(base: str, root: str, path: str) -> str | None:
    """Where a link leads, relative to its folder; None where that is outside. The job calls the base /opt/ml."""
    folder = os.path.realpath(os.path.dirname(path))
    link = os.readlink(path)
    if link.startswith(OPT_ML + "/"):
        link = base + link[len(OPT_ML) :]
    inside, target = os.path.realpath(root), os.path.realpath(os.path.join(folder, link))
    return os.path.relpath(target, folder) if os.path.commonpath([inside, target]) == inside else None


if __name__ == "__main__":
    main(sys.argv[1])
