"""The object store as the rest of the platform sees it: buckets, keys, immutable blobs.

Promises in prose, held by ``darkroom.testing.object_store_contract``:

* What ``put`` (and every other change) acknowledged survives kill -9 and power loss: blobs are fsynced before their
  name is seen, names live in SQL with full synchronisation.
* Overwriting is atomic: a reader sees the old object whole or the new one whole, and keeps what it opened.
* Keys are any UTF-8 text of 1 to 1024 bytes and never become file-system paths.
* Listing is in UTF-8 byte order.
* A blob belongs to whoever committed it until ``put`` or ``put_part`` takes it over (also when they raise) or
  ``discard`` drops it.
* Every method may be called from any thread and blocks; callers on an event loop use a worker thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

MAX_KEY_BYTES = 1024
MIN_PART_BYTES = 5 * 2**20  # every part but the last
NO_HEAD: Mapping[str, Any] = {}
NO_TAGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Bucket:
    name: str
    created: datetime


@dataclass(frozen=True)
class Blob:
    """Written and fsynced content that no name points to yet. ``checksums``: raw bytes by algorithm ("CRC32", …)."""

    id: str
    size: int
    md5: bytes
    checksums: Mapping[str, bytes] = field(default_factory=dict)
    offset: int = 0  # where it begins in its file
    shared: bool = False  # the file is that of an upload, side by side with other parts


@dataclass(frozen=True)
class Object:
    """A named blob. ``etag`` has no quotes; ``head`` holds stored members in AWS spelling, fit for JSON.

    In a ``Listing`` the head is empty: ``get`` reads it.
    """

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime
    head: Mapping[str, Any] = field(default_factory=dict)
    blob: str = ""
    parts: tuple[int, ...] = ()  # sizes, where it came by a multipart upload
    upload: str = ""  # id of that upload
    tag_count: int = 0


@dataclass(frozen=True)
class Condition:
    """What must hold for the name at the moment of the change; ``absent`` is If-None-Match: *.

    ``etag`` ("*": any) with no object there is NotFound("key"); every other mismatch is PreconditionFailed.
    """

    etag: str | None = None
    absent: bool = False


ALWAYS = Condition()


@dataclass(frozen=True)
class Part:
    number: int
    size: int
    etag: str
    modified: datetime
    checksums: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Upload:
    """A multipart upload that is under way."""

    id: str
    bucket: str
    key: str
    head: Mapping[str, Any]
    created: datetime
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """One page. ``next`` is the key or common prefix to go on after; None when nothing follows."""

    objects: Sequence[Object]
    prefixes: Sequence[str]
    next: str | None


class BlobWriter(Protocol):
    """Takes content as it comes and checksums it. Unfinished ones leave nothing behind."""

    def write(self, chunk: bytes) -> None: ...

    def commit(self) -> Blob:
        """Content is on disk, fsynced."""
        ...

    def abort(self) -> None:
        """Also after an error; not after ``commit``."""
        ...


class ObjectStore(Protocol):
    """Errors: NotFound("bucket" | "key" | "upload" | "part"), Conflict("bucket" | "part"), PreconditionFailed, Invalid.

    Conflict("bucket") is raised by ``create_bucket`` for a taken name and by ``delete_bucket`` for one with objects.
    """

    def create_bucket(self, name: str) -> Bucket: ...

    def delete_bucket(self, name: str) -> None:
        """Uploads under way in it are aborted."""
        ...

    def bucket(self, name: str) -> Bucket: ...

    def buckets(self) -> Sequence[Bucket]: ...

    def document(self, bucket: str, name: str) -> str | None:
        """A bucket's configuration as JSON text, by name: "policy", "public-access-block" or "tagging"."""
        ...

    def set_document(self, bucket: str, name: str, text: str | None) -> None: ...

    def writer(self, checksums: Sequence[str] = ()) -> BlobWriter: ...

    def discard(self, blob: Blob) -> None:
        """Drop a blob that will not get a name."""
        ...

    def put(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        head: Mapping[str, Any] = NO_HEAD,
        tags: Mapping[str, str] = NO_TAGS,
        condition: Condition = ALWAYS,
    ) -> Object: ...

    def put_file(self, bucket: str, key: str, path: Path, head: Mapping[str, Any] = NO_HEAD) -> Object:
        """Store a finished file of ours (linked where possible; it must not be written to again)."""
        ...

    def get(self, bucket: str, key: str) -> Object: ...

    def read(self, item: Object, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...

    def path(self, item: Object) -> Path | None:
        """The file that holds the content, for hard links and file sends; None where it is not on this machine.

        The file stays for at least a minute after the object is overwritten or deleted.
        """
        ...

    def copy(
        self,
        source: Object,
        bucket: str,
        key: str,
        head: Mapping[str, Any],
        tags: Mapping[str, str] = NO_TAGS,
        condition: Condition = ALWAYS,
    ) -> Object: ...

    def delete(self, bucket: str, key: str, condition: Condition = ALWAYS) -> None:
        """No error where there is no such key, unless the condition names an ETag."""
        ...

    def delete_all(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete many at once."""
        ...

    def list(self, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Listing:
        """Keys and common prefixes greater than ``after``, at most ``limit`` of both together."""
        ...

    def tags(self, bucket: str, key: str) -> Mapping[str, str]: ...

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None: ...

    def create_upload(
        self, bucket: str, key: str, head: Mapping[str, Any] = NO_HEAD, tags: Mapping[str, str] = NO_TAGS
    ) -> Upload: ...

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload: ...

    def uploads(self, bucket: str, prefix: str = "") -> Sequence[Upload]:
        """By key, then by time of creation."""
        ...

    def part_writer(
        self, upload: Upload, number: int, size: int | None = None, checksums: Sequence[str] = ()
    ) -> BlobWriter:
        """Like ``writer``, placed so that joining the parts is cheap; ``size`` is what the client announced."""
        ...

    def put_part(self, upload: Upload, number: int, blob: Blob) -> Part: ...

    def parts(self, upload: Upload) -> Sequence[Part]:
        """By number."""
        ...

    def complete_upload(
        self,
        upload: Upload,
        parts: Sequence[tuple[int, str]],
        head: Mapping[str, Any] | None = None,
        condition: Condition = ALWAYS,
    ) -> Object:
        """Join the named (number, etag) parts in that order; ``head`` replaces the upload's own.

        Raises NotFound("part") for a part that is not there or has another ETag, Conflict("part") for one that is
        too small. Completing twice with the same upload gives the same object.
        """
        ...

    def abort_upload(self, upload: Upload) -> None: ...

    def close(self) -> None:
        """No method may be called afterwards."""
        ...
