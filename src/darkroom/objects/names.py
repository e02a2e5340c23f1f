"""What the object store remembers in SQL: named queries over buckets, objects, uploads and parts.

All SQL of the store stands here. Keys are blobs of UTF-8, so that SQLite orders them by byte and takes any character;
times are whole microseconds. Decides nothing and touches no file.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from darkroom.objects.base import Bucket, Object, Part, Upload

SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (number INTEGER PRIMARY KEY AUTOINCREMENT, started INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    bucket TEXT NOT NULL REFERENCES buckets ON DELETE CASCADE, name TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (bucket, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL REFERENCES buckets, key BLOB NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified INTEGER NOT NULL, head TEXT NOT NULL, tags TEXT NOT NULL,
    upload TEXT NOT NULL, parts TEXT NOT NULL,
    PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES buckets, key BLOB NOT NULL, blob TEXT NOT NULL,
    head TEXT NOT NULL, tags TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, created);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL, blob TEXT NOT NULL,
    offset INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, checksums TEXT NOT NULL,
    modified INTEGER NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID;
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OBJECT = "bucket, key, size, etag, modified, blob, head, tags, upload, parts"
UPLOAD = "id, bucket, key, head, tags, created, blob"
PART = "number, size, etag, modified, checksums, blob, offset"
NOTHING_AFTER = b"\xff"  # greater than any UTF-8


@dataclass(frozen=True)
class StoredPart:
    """A part, and where its content lies."""

    part: Part
    blob: str
    offset: int


@dataclass(frozen=True)
class StoredUpload:
    upload: Upload
    blob: str  # the file that its parts may share


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def begin_generation(db: sqlite3.Connection, started: datetime) -> int:
    return int(db.execute("INSERT INTO generations (started) VALUES (?)", (micros(started),)).lastrowid or 0)


# Buckets ------------------------------------------------------------------------------------------------------


def find_bucket(db: sqlite3.Connection, name: str) -> Bucket | None:
    row = db.execute("SELECT created FROM buckets WHERE name = ?", (name,)).fetchone()
    return Bucket(name, moment(row[0])) if row else None


def all_buckets(db: sqlite3.Connection) -> list[Bucket]:
    return [Bucket(n, moment(t)) for n, t in db.execute("SELECT name, created FROM buckets ORDER BY name")]


def add_bucket(db: sqlite3.Connection, bucket: Bucket) -> None:
    db.execute("INSERT INTO buckets VALUES (?, ?)", (bucket.name, micros(bucket.created)))


def remove_bucket(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM buckets WHERE name = ?", (name,))


def has_objects(db: sqlite3.Connection, bucket: str) -> bool:
    return db.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (bucket,)).fetchone() is not None


def find_document(db: sqlite3.Connection, bucket: str, name: str) -> str | None:
    row = db.execute("SELECT text FROM documents WHERE bucket = ? AND name = ?", (bucket, name)).fetchone()
    return str(row[0]) if row else None


def replace_document(db: sqlite3.Connection, bucket: str, name: str, text: str | None) -> None:
    if text is None:
        db.execute("DELETE FROM documents WHERE bucket = ? AND name = ?", (bucket, name))
    else:
        db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (bucket, name, text))


# Objects ------------------------------------------------------------------------------------------------------


def find_object(db: sqlite3.Connection, bucket: str, key: str) -> Object | None:
    query = f"SELECT {OBJECT} FROM objects WHERE bucket = ? AND key = ?"
    row = db.execute(query, (bucket, key.encode())).fetchone()
    return _object(row) if row else None


def replace_object(db: sqlite3.Connection, item: Object, tags: Mapping[str, str]) -> None:
    db.execute(
        f"INSERT OR REPLACE INTO objects ({OBJECT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(item.bucket, item.key.encode(), item.size, item.etag, micros(item.modified), item.blob),
            *(_dump(item.head), _dump(tags), item.upload, _dump(item.parts)),
        ),
    )


def remove_object(db: sqlite3.Connection, bucket: str, key: str) -> None:
    db.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key.encode()))


def objects_from(db: sqlite3.Connection, bucket: str, low: bytes, high: bytes, limit: int) -> Iterator[Object]:
    """Objects, without their heads, whose keys are in [low, high), in order."""
    query = """SELECT bucket, key, size, etag, modified, blob, '{}', '{}', upload, '[]' FROM objects
               WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"""
    return (_object(row) for row in db.execute(query, (bucket, low, high, limit)))


def find_tags(db: sqlite3.Connection, bucket: str, key: str) -> dict[str, str] | None:
    row = db.execute("SELECT tags FROM objects WHERE bucket = ? AND key = ?", (bucket, key.encode())).fetchone()
    return dict(json.loads(row[0])) if row else None


def replace_tags(db: sqlite3.Connection, bucket: str, key: str, tags: Mapping[str, str]) -> bool:
    """False where there is no such object."""
    query = "UPDATE objects SET tags = ? WHERE bucket = ? AND key = ?"
    return db.execute(query, (_dump(tags), bucket, key.encode())).rowcount == 1


def _object(row: tuple[Any, ...]) -> Object:
    bucket, key, size, etag, modified, blob, head, tags, upload, parts = row
    return Object(
        bucket,
        key.decode(),
        size,
        etag,
        moment(modified),
        json.loads(head),
        blob=blob,
        parts=tuple(json.loads(parts)),
        upload=upload,
        tag_count=len(json.loads(tags)),
    )


# Uploads ------------------------------------------------------------------------------------------------------


def add_upload(db: sqlite3.Connection, upload: Upload, blob: str) -> None:
    values = (upload.id, upload.bucket, upload.key.encode(), _dump(upload.head), _dump(upload.tags))
    db.execute(f"INSERT INTO uploads ({UPLOAD}) VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, micros(upload.created), blob))


def find_upload(db: sqlite3.Connection, bucket: str, key: str, upload_id: str) -> StoredUpload | None:
    query = f"SELECT {UPLOAD} FROM uploads WHERE id = ? AND bucket = ? AND key = ?"
    row = db.execute(query, (upload_id, bucket, key.encode())).fetchone()
    return _upload(row) if row else None


def uploads_with_prefix(db: sqlite3.Connection, bucket: str, prefix: str) -> list[StoredUpload]:
    low = prefix.encode()
    query = f"SELECT {UPLOAD} FROM uploads WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, created, id"
    return [_upload(row) for row in db.execute(query, (bucket, low, after_prefix(low)))]


def remove_upload(db: sqlite3.Connection, upload_id: str) -> list[str]:
    """Forget an upload and its parts. Returns the blobs that held them."""
    rows = db.execute(
        "SELECT blob FROM parts WHERE upload = ? UNION SELECT blob FROM uploads WHERE id = ?", (upload_id, upload_id)
    ).fetchall()
    db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
    return [row[0] for row in rows]


def replace_part(db: sqlite3.Connection, upload_id: str, stored: StoredPart) -> None:
    part, checksums = stored.part, {name: value.hex() for name, value in stored.part.checksums.items()}
    db.execute(
        "INSERT OR REPLACE INTO parts (upload, number, blob, offset, size, etag, checksums, modified)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(upload_id, part.number, stored.blob, stored.offset, part.size, part.etag, _dump(checksums)),
            micros(part.modified),
        ),
    )


def find_parts(db: sqlite3.Connection, upload_id: str) -> list[StoredPart]:
    """By number."""
    return [
        _part(row) for row in db.execute(f"SELECT {PART} FROM parts WHERE upload = ? ORDER BY number", (upload_id,))
    ]


def find_part(db: sqlite3.Connection, upload_id: str, number: int) -> StoredPart | None:
    query = f"SELECT {PART} FROM parts WHERE upload = ? AND number = ?"
    row = db.execute(query, (upload_id, number)).fetchone()
    return _part(row) if row else None


def _upload(row: tuple[Any, ...]) -> StoredUpload:
    upload_id, bucket, key, head, tags, created, blob = row
    return StoredUpload(
        Upload(upload_id, bucket, key.decode(), json.loads(head), moment(created), json.loads(tags)), blob
    )


def _part(row: tuple[Any, ...]) -> StoredPart:
    number, size, etag, modified, checksums, blob, offset = row
    values = {name: bytes.fromhex(value) for name, value in json.loads(checksums).items()}
    return StoredPart(Part(number, size, etag, moment(modified), values), blob, offset)


# Blobs --------------------------------------------------------------------------------------------------------


def unnamed(db: sqlite3.Connection, blobs: Iterable[str]) -> list[str]:
    """Those blobs that no object, part or upload refers to. Their number is bounded by the disk, not by memory."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS found (blob TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("BEGIN")
    db.executemany("INSERT OR IGNORE INTO found VALUES (?)", ((blob,) for blob in blobs))
    for table in ("objects", "parts", "uploads"):
        db.execute(f"DELETE FROM found WHERE blob IN (SELECT blob FROM {table})")
    rows = db.execute("SELECT blob FROM found").fetchall()
    db.execute("COMMIT")
    db.execute("DROP TABLE found")
    return [row[0] for row in rows]


def after_prefix(prefix: bytes) -> bytes:
    """The least byte string greater than every UTF-8 text that begins with ``prefix``."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else NOTHING_AFTER


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
