"""Packs what a job left in /opt/ml into model.tar.gz and output.tar.gz.

The launcher becomes this when the job has ended: ``python -m darkroom.executors.packing FOLDER``. Archives hold flat
relative names, sorted, with fixed owners and times, so that the same files give the same bytes. Links that lead
outside are left out, and the log says so.
"""

import gzip
import os
import stat
import sys
import tarfile
import time
from collections.abc import Iterator

from darkroom.contract.logs import Writer
from darkroom.executors import records
from darkroom.executors.isolation import OPT_ML

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
            packed = pack(spec["base"], below, os.path.join(folder, archive), notes)
        except OSError as error:
            packed = False
            record["failure"] = f"cannot pack /opt/ml/{below} into {archive}: {error.strerror or error}"
        record[archive] = packed
    now_ms = time.time_ns() // 10**6
    if notes:
        Writer(spec["log"]).write((now_ms, f"darkroom: {note}") for note in notes)
    records.write(folder, records.PACKED, record | {"at_ms": now_ms})
    records.announce(spec["changes"], os.path.basename(folder))


def pack(base: str, below: str, target: str, notes: list[str]) -> bool:
    """Archive what a folder below /opt/ml holds, whole or not at all; False, and no archive, where it holds nothing."""
    source = os.path.join(base, below)
    members = list(_members(base, source, source, notes))
    if not members:
        return False
    partial = f"{target}.partial"
    with open(partial, "wb") as file:
        with (
            gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path, member in members:
                _add(archive, path, member)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)
    records.sync_folder(os.path.dirname(target))
    return True


def _add(archive: tarfile.TarFile, path: str, member: tarfile.TarInfo) -> None:
    if not member.isreg():
        archive.addfile(member)
        return
    with open(path, "rb") as content:
        member.size = os.fstat(content.fileno()).st_size
        archive.addfile(member, content)


def _members(base: str, root: str, folder: str, notes: list[str]) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """(path, member) of everything below a folder, in order of name."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = os.path.relpath(entry.path, root)
        member = tarfile.TarInfo(name)
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            yield entry.path, member
            yield from _members(base, root, entry.path, notes)
        elif stat.S_ISREG(mode):
            member.mode = 0o755 if mode & stat.S_IXUSR else 0o644
            yield entry.path, member
        elif stat.S_ISLNK(mode) and (link := _inner_link(base, root, entry.path)) is not None:
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, link, 0o777
            yield entry.path, member
        else:
            notes.append(f"{name} was left out of the archive: it is neither a file nor a link to one beside it")


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
