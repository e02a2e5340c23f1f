"""The object store as the rest of the platform sees it: buckets, keys, immutable blobs.

Promises in prose:

* What ``put`` (and every other change) acknowledged survives kill -9 and power loss: blobs are fsynced before their
  name is seen, names live in SQL with full synchronisation.
* Overwriting is atomic: a reader sees the old object whole or the new one whole, and keeps what it opened.
* Keys are any UTF-8 text up to 1024 bytes and never become file-system paths.
* Listing is in UTF-8 byte order.
* Every method may be called from any thread and blocks; callers on an event loop use a worker thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Bucket:
    name: str
    created: datetime


@dataclass(frozen=True)
class Blob:
    """Written and fsynced content that no name points to yet. ``checksums`` by algorithm name ("CRC32", …): raw bytes."""

    id: str
    size: int
    md5: bytes
    checksums: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Object:
    """A named blob. ``etag`` has no quotes; ``head`` holds stored header members in AWS spelling (ContentType, …)."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime
    head: Mapping[str, object] = field(default_factory=dict)
    blob: str = ""


@dataclass(frozen=True)
class Condition:
    """What must hold for the name at the moment of the change; ``absent`` is If-None-Match: *."""

    etag: str | None = None
    absent: bool = False


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
    head: Mapping[str, object]
    created: datetime


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

    def abort(self) -> None: ...


class ObjectStore(Protocol):
    """Errors: NotFound("bucket" | "key" | "upload"), Conflict("bucket"), PreconditionFailed, Invalid."""

    def create_bucket(self, name: str) -> Bucket: ...

    def delete_bucket(self, name: str) -> None: ...

    def bucket(self, name: str) -> Bucket: ...

    def buckets(self) -> Sequence[Bucket]: ...

    def document(self, bucket: str, name: str) -> str | None:
        """A bucket's configuration text by name ("policy", "public-access-block", "tagging", …)."""
        ...

    def set_document(self, bucket: str, name: str, text: str | None) -> None: ...

    def writer(self, checksums: Sequence[str] = ()) -> BlobWriter: ...

    def put(self, bucket: str, key: str, blob: Blob, head: Mapping[str, object], condition: Condition = ...) -> Object: ...

    def put_file(self, bucket: str, key: str, path: Path, head: Mapping[str, object] = ...) -> Object:
        """Store a finished file of ours (linked where possible; it must not be written to again)."""
        ...

    def get(self, bucket: str, key: str) -> Object: ...

    def read(self, item: Object, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...

    def path(self, item: Object) -> Path | None:
        """The file that holds the content, for hard links and file sends; None where it is not on this machine."""
        ...

    def copy(self, source: Object, bucket: str, key: str, head: Mapping[str, object]) -> Object: ...

    def delete(self, bucket: str, key: str) -> None:
        """No error where there is no such key."""
        ...

    def list(self, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Listing: ...

    def tags(self, bucket: str, key: str) -> Mapping[str, str]: ...

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None: ...

    def create_upload(self, bucket: str, key: str, head: Mapping[str, object]) -> Upload: ...

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload: ...

    def uploads(self, bucket: str, prefix: str = "") -> Sequence[Upload]: ...

    def put_part(self, upload: Upload, number: int, blob: Blob) -> Part: ...

    def parts(self, upload: Upload) -> Sequence[Part]: ...

    def complete_upload(self, upload: Upload, parts: Sequence[tuple[int, str]], condition: Condition = ...) -> Object:
        """Join the named (number, etag) parts in that order."""
        ...

    def abort_upload(self, upload: Upload) -> None: ...
