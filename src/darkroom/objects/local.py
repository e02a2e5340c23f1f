"""The built-in object store: immutable blob files, names in SQLite. One process at a time owns a folder.

An object has a blob of its own (a copy is a hard link), so a blob is garbage as soon as its name is gone. The order
is always the same: content to disk, folder entry to disk, name to disk, answer; then, much later, unlink the old file.
Knows no HTTP and no AWS error.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from sqlite3 import Connection
from typing import Any

from darkroom.errors import Conflict, DarkroomError, Invalid, NotFound
from darkroom.objects import names
from darkroom.objects.base import (
    ALWAYS,
    MIN_PART_BYTES,
    NO_HEAD,
    NO_TAGS,
    Blob,
    BlobWriter,
    Bucket,
    Condition,
    Listing,
    Object,
    Part,
    Upload,
)
from darkroom.objects.blobs import Blobs, read_file, sync_folder
from darkroom.objects.changes import (
    check_key,
    completed,
    end_upload,
    name_blob,
    remove_object,
    the_bucket,
    the_object,
    the_upload,
)
from darkroom.objects.checksums import Digests
from darkroom.objects.collector import GRACE_S, Collector
from darkroom.objects.committer import Committer, Transaction, connect
from darkroom.objects.listing import page
from darkroom.objects.multipart import choose_parts, contiguous, multipart_etag
from darkroom.objects.names import StoredPart
from darkroom.objects.slots import Slots


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_id() -> str:
    return uuid.uuid4().hex


class LocalStore:
    """An ``ObjectStore`` below ``root``. Raises Invalid where another process has that folder open."""

    def __init__(
        self,
        root: Path,
        now: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
        *,
        min_part_bytes: int = MIN_PART_BYTES,
        grace_s: float = GRACE_S,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._owned = _own(root / "lock")
        self._now, self._new_id, self._min_part_bytes = now, new_id, min_part_bytes
        self._database = root / "names.sqlite"
        connection = connect(self._database)
        connection.executescript(names.SCHEMA)
        self._blobs = Blobs(root / "blobs", names.begin_generation(connection, now()))
        sync_folder(root)
        self._readers: SimpleQueue[Connection] = SimpleQueue()
        self._slots = Slots()
        self._collector = Collector(self._blobs, self._unnamed, grace_s)
        self._committer = Committer(connection, self._blobs.sync_folders, self._collector.drop)

    def close(self) -> None:
        self._committer.close()
        self._collector.close()
        while True:
            try:
                self._readers.get_nowait().close()
            except Empty:
                break
        os.close(self._owned)

    # Buckets ----------------------------------------------------------------------------------------------

    def create_bucket(self, name: str) -> Bucket:
        def change(transaction: Transaction) -> Bucket:
            if names.find_bucket(transaction.connection, name):
                raise Conflict("bucket", name, f"bucket {name!r} exists already")
            bucket = Bucket(name, self._now())
            names.add_bucket(transaction.connection, bucket)
            return bucket

        return self._committer.run(change)

    def delete_bucket(self, name: str) -> None:
        def change(transaction: Transaction) -> None:
            db = transaction.connection
            the_bucket(db, name)
            if names.has_objects(db, name):
                raise Conflict("bucket", name, f"bucket {name!r} is not empty; delete its objects first")
            for stored in names.uploads_with_prefix(db, name, ""):
                transaction.dropped += names.remove_upload(db, stored.upload.id)
                self._slots.end(stored.upload.id)
            names.remove_bucket(db, name)

        self._committer.run(change)

    def bucket(self, name: str) -> Bucket:
        with self._reading() as db:
            return the_bucket(db, name)

    def buckets(self) -> Sequence[Bucket]:
        with self._reading() as db:
            return names.all_buckets(db)

    def document(self, bucket: str, name: str) -> str | None:
        with self._reading() as db:
            the_bucket(db, bucket)
            return names.find_document(db, bucket, name)

    def set_document(self, bucket: str, name: str, text: str | None) -> None:
        def change(transaction: Transaction) -> None:
            the_bucket(transaction.connection, bucket)
            names.replace_document(transaction.connection, bucket, name, text)

        self._committer.run(change)

    # Objects ----------------------------------------------------------------------------------------------

    def writer(self, checksums: Sequence[str] = ()) -> BlobWriter:
        return self._blobs.writer(checksums)

    def discard(self, blob: Blob) -> None:
        if not blob.shared:
            self._blobs.remove(blob.id)

    def put(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        head: Mapping[str, Any] = NO_HEAD,
        tags: Mapping[str, str] = NO_TAGS,
        condition: Condition = ALWAYS,
    ) -> Object:
        item = Object(bucket, key, blob.size, blob.md5.hex(), self._now(), head, blob.id)
        with self._removing_if_refused(blob.id):
            return self._committer.run(partial(name_blob, item, tags, condition))

    def put_file(self, bucket: str, key: str, path: Path, head: Mapping[str, Any] = NO_HEAD) -> Object:
        blob_id, digests, size = self._blobs.link(path), Digests(), path.stat().st_size
        for chunk in read_file(self._blobs.path(blob_id), 0, size):
            digests.update(chunk)
        return self.put(bucket, key, Blob(blob_id, size, digests.md5), head)

    def copy(
        self,
        source: Object,
        bucket: str,
        key: str,
        head: Mapping[str, Any],
        tags: Mapping[str, str] = NO_TAGS,
        condition: Condition = ALWAYS,
    ) -> Object:
        try:
            blob_id = self._blobs.link(self._blobs.path(source.blob))
        except FileNotFoundError:
            raise NotFound("key", source.key) from None
        item = replace(source, bucket=bucket, key=key, modified=self._now(), head=head, blob=blob_id, upload="")
        with self._removing_if_refused(blob_id):
            return self._committer.run(partial(name_blob, item, tags, condition))

    def get(self, bucket: str, key: str) -> Object:
        with self._reading() as db:
            return the_object(db, bucket, key)

    def read(self, item: Object, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        try:
            yield from read_file(
                self._blobs.path(item.blob), start, item.size if stop is None else min(stop, item.size)
            )
        except FileNotFoundError:
            raise NotFound("key", item.key) from None

    def path(self, item: Object) -> Path | None:
        return self._blobs.path(item.blob)

    def delete(self, bucket: str, key: str, condition: Condition = ALWAYS) -> None:
        self._committer.run(partial(remove_object, bucket, key, condition))

    def delete_all(self, bucket: str, keys: Sequence[str]) -> None:
        def change(transaction: Transaction) -> None:
            for key in keys:
                remove_object(bucket, key, ALWAYS, transaction)

        self._committer.run(change)

    def list(self, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Listing:
        with self._reading() as db:
            the_bucket(db, bucket)
            return page(partial(names.objects_from, db, bucket), prefix, delimiter, after, limit)

    def tags(self, bucket: str, key: str) -> Mapping[str, str]:
        with self._reading() as db:
            the_object(db, bucket, key)
            return names.find_tags(db, bucket, key) or {}

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        def change(transaction: Transaction) -> None:
            the_object(transaction.connection, bucket, key)
            names.replace_tags(transaction.connection, bucket, key, tags)

        self._committer.run(change)

    # Uploads ----------------------------------------------------------------------------------------------

    def create_upload(
        self, bucket: str, key: str, head: Mapping[str, Any] = NO_HEAD, tags: Mapping[str, str] = NO_TAGS
    ) -> Upload:
        upload = Upload(self._new_id(), bucket, check_key(key), head, self._now(), tags)
        blob_id = self._blobs.reserve()

        def change(transaction: Transaction) -> None:
            the_bucket(transaction.connection, bucket)
            names.add_upload(transaction.connection, upload, blob_id)

        self._committer.run(change)
        self._slots.begin(upload.id, blob_id)
        return upload

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        with self._reading() as db:
            the_bucket(db, bucket)
            return the_upload(db, bucket, key, upload_id).upload

    def uploads(self, bucket: str, prefix: str = "") -> Sequence[Upload]:
        with self._reading() as db:
            the_bucket(db, bucket)
            return [stored.upload for stored in names.uploads_with_prefix(db, bucket, prefix)]

    def part_writer(
        self, upload: Upload, number: int, size: int | None = None, checksums: Sequence[str] = ()
    ) -> BlobWriter:
        claimed = self._slots.claim(upload.id, number, size)
        if claimed is None:
            return self._blobs.writer(checksums)
        blob_id, offset = claimed
        return self._blobs.shared_writer(
            blob_id, checksums, offset=offset, limit=size, done=lambda: self._slots.release(upload.id)
        )

    def put_part(self, upload: Upload, number: int, blob: Blob) -> Part:
        part = Part(number, blob.size, blob.md5.hex(), self._now(), blob.checksums)

        def change(transaction: Transaction) -> Part:
            db = transaction.connection
            stored = the_upload(db, upload.bucket, upload.key, upload.id)
            old = names.find_part(db, upload.id, number)
            if old and old.blob != stored.blob:
                transaction.dropped.append(old.blob)
            names.replace_part(db, upload.id, StoredPart(part, blob.id, blob.offset))
            transaction.named.append(blob.id)
            return part

        try:
            return self._committer.run(change)
        except DarkroomError:
            self.discard(blob)
            raise

    def parts(self, upload: Upload) -> Sequence[Part]:
        with self._reading() as db:
            return [stored.part for stored in names.find_parts(db, upload.id)]

    def complete_upload(
        self,
        upload: Upload,
        parts: Sequence[tuple[int, str]],
        head: Mapping[str, Any] | None = None,
        condition: Condition = ALWAYS,
    ) -> Object:
        with self._reading() as db:
            found = names.find_upload(db, upload.bucket, upload.key, upload.id)
            if found is None:
                return completed(names.find_object(db, upload.bucket, upload.key), upload.id)
            stored = names.find_parts(db, upload.id)
        chosen = choose_parts(stored, parts, self._min_part_bytes)
        blob_id = self._joined(upload, found.blob, stored, chosen)
        sizes = tuple(part.part.size for part in chosen)
        etag = multipart_etag([part.part.etag for part in chosen])
        item = Object(
            upload.bucket, upload.key, sum(sizes), etag, self._now(), head or upload.head, blob_id, sizes, upload.id
        )
        with nullcontext() if blob_id == found.blob else self._removing_if_refused(blob_id):
            return self._committer.run(partial(end_upload, item, upload.tags, condition))

    def _joined(self, upload: Upload, shared: str, stored: Sequence[StoredPart], chosen: Sequence[StoredPart]) -> str:
        """The blob with the content of the chosen parts: the file they share, where they alone fill it, or a copy."""
        extents = [(part.blob, part.offset, part.part.size) for part in chosen]
        quiet = self._slots.end(upload.id)
        others = [part for part in stored if part.blob == shared and part not in chosen]
        if quiet and not others and contiguous(extents, shared):
            self._blobs.seal(shared, sum(part.part.size for part in chosen))
            return shared
        return self._blobs.join(extents)

    def abort_upload(self, upload: Upload) -> None:
        def change(transaction: Transaction) -> None:
            the_upload(transaction.connection, upload.bucket, upload.key, upload.id)
            transaction.dropped += names.remove_upload(transaction.connection, upload.id)

        self._committer.run(change)
        self._slots.end(upload.id)

    # ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection that nobody else uses now. It sees everything that was committed before."""
        try:
            connection = self._readers.get_nowait()
        except Empty:
            connection = connect(self._database)
        try:
            yield connection
        finally:
            self._readers.put(connection)

    @contextmanager
    def _removing_if_refused(self, blob_id: str) -> Iterator[None]:
        """Remove a blob whose name was refused.

        One whose commit failed is kept: its name may have reached the disk after all, and the next start finds out.
        """
        try:
            yield
        except DarkroomError:
            self._blobs.remove(blob_id)
            raise

    def _unnamed(self, blobs: Iterable[str]) -> Sequence[str]:
        with closing(connect(self._database)) as db:
            return names.unnamed(db, blobs)


def _own(path: Path) -> int:
    """Take the folder for this process, until it ends. Returns the lock file, to be kept open."""
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise Invalid(f"{path.parent} is in use by another server; stop that one or choose another folder") from None
    return file
