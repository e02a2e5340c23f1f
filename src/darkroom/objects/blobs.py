"""Immutable files that hold content, durable before anybody hears of them. Knows no name, bucket or key.

A blob's id is ``<generation>-<number>``: every start of the store is a new generation, so that files of an earlier
one that no name points to are known to be garbage. Files are read-only: jobs get hard links to them.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from darkroom.objects.base import Blob
from darkroom.objects.checksums import Digests

FILES_PER_FOLDER = 1000
COPY_BYTES = 64 * 2**20
READ_BYTES = 2**20
READ_ONLY = 0o444
Extent = tuple[str, int, int]  # blob id, offset, size in bytes


class FileWriter:
    """Writes a blob from ``offset`` of an open file. ``done(committed)`` is called once, at the end.

    The file becomes read-only unless it is ``shared`` with other writers.
    """

    def __init__(
        self,
        blob_id: str,
        file: int,
        checksums: Sequence[str],
        *,
        offset: int = 0,
        limit: int | None = None,
        shared: bool = False,
        done: Callable[[bool], None] = lambda committed: None,
    ) -> None:
        self._id, self._file, self._offset, self._limit = blob_id, file, offset, limit
        self._shared, self._done = shared, done
        self._digests = Digests(checksums)
        self._size = 0

    def write(self, chunk: bytes) -> None:
        if self._limit is not None and self._size + len(chunk) > self._limit:
            raise OSError(errno.EFBIG, f"content is longer than the announced {self._limit} bytes")
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._file, view, self._offset + self._size)
            self._size += written
            view = view[written:]
        self._digests.update(chunk)

    def commit(self) -> Blob:
        if not self._shared:
            os.fchmod(self._file, READ_ONLY)
        os.fsync(self._file)
        self._finish(True)
        return Blob(self._id, self._size, self._digests.md5, self._digests.checksums, self._offset, self._shared)

    def abort(self) -> None:
        self._finish(False)

    def _finish(self, committed: bool) -> None:
        os.close(self._file)
        self._done(committed)


class Blobs:
    """The files below one folder. Before a blob gets a name, ``sync_folders`` makes its directory entry durable."""

    def __init__(self, folder: Path, generation: int) -> None:
        self._folder, self._generation = folder, generation
        self._numbers = 0
        self._known: set[Path] = set()  # folders that exist, of the last few used
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)

    def path(self, blob_id: str) -> Path:
        generation, _, number = blob_id.partition("-")
        return self._folder / generation / f"{int(number, 16) // FILES_PER_FOLDER:x}" / number

    def reserve(self) -> str:
        """A new id. Its folder is there, its file is not."""
        with self._lock:
            self._numbers += 1
            blob_id = f"{self._generation:x}-{self._numbers:x}"
            folder = self.path(blob_id).parent
            if folder not in self._known:
                self._make(folder)
        return blob_id

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        sync_folder(self._folder)
        self._known = {folder}

    def open(self, blob_id: str) -> int:
        """The file of a reserved id, for writing; made when it is not there."""
        return os.open(self.path(blob_id), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)

    def writer(self, checksums: Sequence[str] = ()) -> FileWriter:
        blob_id = self.reserve()
        return FileWriter(
            blob_id, self.open(blob_id), checksums, done=lambda committed: None if committed else self.remove(blob_id)
        )

    def shared_writer(
        self, blob_id: str, checksums: Sequence[str], *, offset: int, limit: int | None, done: Callable[[], None]
    ) -> FileWriter:
        """A writer of one extent in a file that others write to as well."""
        return FileWriter(
            *(blob_id, self.open(blob_id), checksums),
            offset=offset,
            limit=limit,
            shared=True,
            done=lambda committed: done(),
        )

    def link(self, source: Path) -> str:
        """A blob with the content of a file: a hard link, or a copy where the file system refuses one."""
        blob_id = self.reserve()
        try:
            os.link(source, self.path(blob_id))
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP):
                raise
            self._copy(blob_id, [(source, 0, source.stat().st_size)])
        else:
            sync_file(source)
        return blob_id

    def join(self, extents: Iterable[Extent]) -> str:
        """A blob with the content of the extents one after the other, copied inside the kernel."""
        blob_id = self.reserve()
        self._copy(blob_id, [(self.path(part), offset, size) for part, offset, size in extents])
        return blob_id

    def _copy(self, blob_id: str, pieces: Iterable[tuple[Path, int, int]]) -> None:
        target = self.open(blob_id)
        try:
            for path, offset, size in pieces:
                copy_range(path, offset, size, target)
            os.fchmod(target, READ_ONLY)
            os.fsync(target)
        except OSError:
            self.remove(blob_id)
            raise
        finally:
            os.close(target)

    def seal(self, blob_id: str, size: int) -> None:
        """Cut what follows ``size`` bytes and make the file read-only, durably."""
        path = self.path(blob_id)
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(file).st_size > size:
                os.truncate(path, size)
            os.fchmod(file, READ_ONLY)
            os.fsync(file)
        finally:
            os.close(file)

    def remove(self, blob_id: str) -> None:
        with suppress(FileNotFoundError):
            self.path(blob_id).unlink()

    def sync_folders(self, blob_ids: Iterable[str]) -> None:
        for folder in {self.path(blob_id).parent for blob_id in blob_ids}:
            sync_folder(folder)

    def earlier(self) -> Iterator[str]:
        """Ids of all files that earlier generations left."""
        for generation in os.listdir(self._folder):
            if int(generation, 16) != self._generation:
                for folder in os.listdir(self._folder / generation):
                    for number in os.listdir(self._folder / generation / folder):
                        yield f"{generation}-{number}"

    def remove_empty_folders(self) -> None:
        """Drop folders of earlier generations that hold nothing any more."""
        for generation in os.listdir(self._folder):
            if int(generation, 16) != self._generation:
                top = self._folder / generation
                for folder in (*(top / name for name in os.listdir(top)), top):
                    with suppress(OSError):
                        folder.rmdir()


def read_file(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Bytes ``start`` to ``stop`` (exclusive) in pieces. Once the first is there, the file may be unlinked."""
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        left = stop - start
        while left > 0 and (piece := file.read(min(READ_BYTES, left))):
            left -= len(piece)
            yield piece


def copy_range(source: Path, offset: int, size: int, target: int) -> None:
    """Append ``size`` bytes of a file from ``offset`` to an open one, without passing them through this process."""
    file = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = offset + size
        while offset < end:
            copied = _copy_some(file, target, min(COPY_BYTES, end - offset), offset)
            if copied == 0:
                raise OSError(errno.EIO, f"{source} ends at {offset} and should reach {end}")
            offset += copied
    finally:
        os.close(file)


def _copy_some(source: int, target: int, size: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, size, offset)
    except OSError as error:  # older kernels and some file systems copy only within one of their kind
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return os.sendfile(target, source, offset, size)


def sync_folder(folder: Path) -> None:
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
