"""Keeps a task's checkpoints in the object store: laid out before it starts, stored while it runs and once at its end.

A file is stored when it has rested since the last look, from a copy of one moment, so that what is stored is whole.
Which files are known (restored ones, or stored before) is told by their time, size and inode. Knows no process.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from darkroom.errors import DarkroomError, Unavailable
from darkroom.executors import records
from darkroom.executors.base import Checkpoints, Input
from darkroom.executors.faults import StagingFailed
from darkroom.executors.sources import objects
from darkroom.executors.staging import copy, lay
from darkroom.objects.base import MAX_KEY_BYTES, ObjectStore

MOST_BYTES = 64 * 2**30  # of a file: a sparse one may claim anything
SNAPSHOT = "snapshot"
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
Stamp = list[int]  # time of change, size and inode: another one is another content


def restore(kept: Checkpoints, base: Path, store: ObjectStore, stopped: Callable[[], bool]) -> None:
    """Lay out what is stored, as files that the task may write to. Raises StagingFailed, Stopped."""
    folder = base / kept.folder
    stamps: dict[str, Stamp] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for item, prefix in objects(Input("checkpoints", kept.bucket, kept.prefix), store, stopped):
            path = lay(item, prefix, f"/opt/ml/{kept.folder}", folder, store, copy)
            stamps[str(path.relative_to(folder))] = stamp_of(path.lstat())
        records.write(base.parent, records.RESTORED, stamps)
    except DarkroomError as error:
        raise StagingFailed(f"cannot restore checkpoints from s3://{kept.bucket}/{kept.prefix}: {error}") from error
    except OSError as error:
        raise StagingFailed(f"cannot restore checkpoints: {error.strerror or error} ({error.filename})") from error


class Keeper:
    """Stores what one task writes. ``folder`` is the task's own, with its records; one thread calls."""

    def __init__(self, kept: Checkpoints, folder: Path, store: ObjectStore) -> None:
        self._kept, self._folder, self._store = kept, folder, store
        self._root = folder / records.BASE / kept.folder
        self._stored: dict[str, Stamp] = records.read(folder, records.RESTORED) or {}
        self._seen: dict[str, Stamp] = {}
        self.troubles: dict[str, str] = {}  # what could not be stored, by file name

    def keep(self, over: bool = False) -> bool:
        """Store what is new and has rested since the last call; all that is new when the task is ``over``.

        False where something is to be tried again.
        """
        now = dict(_files(self._root))
        done = True
        for name, stamp in now.items():
            if stamp != self._stored.get(name) and (over or stamp == self._seen.get(name)):
                done = self._try(name, stamp) and done
        self._seen = now
        return done

    def _try(self, name: str, stamp: Stamp) -> bool:
        try:
            self._store_file(name, stamp)
        except FileNotFoundError:  # taken away meanwhile
            return True
        except (DarkroomError, OSError, ValueError) as error:
            self._trouble(name, error)
            if isinstance(error, Unavailable) or getattr(error, "errno", None) in PASSING:
                return False
            self._stored[name] = stamp  # it would be the same again: no such bucket, no key of that name
        else:
            self.troubles.pop(name, None)
        return True

    def _trouble(self, name: str, error: Exception) -> None:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        url = f"s3://{self._kept.bucket}/{self._kept.prefix}{name}"
        self.troubles[name] = f"checkpoint {name} could not be stored as {url}: {said}"

    def _store_file(self, name: str, stamp: Stamp) -> None:
        if stamp[1] > MOST_BYTES:
            raise ValueError(f"it has {stamp[1]} bytes, more than {MOST_BYTES}")
        if len((self._kept.prefix + name).encode()) > MAX_KEY_BYTES:  # fails for a name that is not UTF-8
            raise ValueError(f"keys have at most {MAX_KEY_BYTES} bytes")
        snapshot = self._folder / SNAPSHOT
        try:
            if self._snapshot(name, snapshot) == stamp:
                self._store.put_file(self._kept.bucket, self._kept.prefix + name, snapshot)
                self._stored[name] = stamp
        finally:
            snapshot.unlink(missing_ok=True)

    def _snapshot(self, name: str, target: Path) -> Stamp | None:
        """Copy a file as it is now; its stamp, or None where it changed on the way."""
        with open(self._root / name, "rb", opener=_plainly) as source, open(target, "wb") as kept:
            before = stamp_of(os.fstat(source.fileno()))
            shutil.copyfileobj(source, kept, 2**20)
            return before if stamp_of(os.fstat(source.fileno())) == before else None


def stamp_of(status: os.stat_result) -> Stamp:
    return [status.st_mtime_ns, status.st_size, status.st_ino]


def _files(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Plain files below a folder that the task may have put anything into. Links are not followed, and what cannot be
    looked at (a forbidden folder, a path too long) is passed over."""
    ahead = [""]
    while ahead:
        below = ahead.pop()
        with suppress(OSError):
            for entry in [] if (root / below).is_symlink() else list(os.scandir(root / below)):
                name = f"{below}/{entry.name}" if below else entry.name
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    ahead.append(name)
                elif stat.S_ISREG(status.st_mode):
                    yield name, stamp_of(status)


def _plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
