"""What happens inside one transaction: conditions are checked and names are moved, all or nothing.

Knows names and blob ids; touches no file. The transaction notes which blobs got a name and which lost theirs.
"""

from collections.abc import Mapping
from dataclasses import replace
from sqlite3 import Connection

from darkroom.errors import Invalid, NotFound, PreconditionFailed
from darkroom.objects import names
from darkroom.objects.base import MAX_KEY_BYTES, Bucket, Condition, Object
from darkroom.objects.committer import Transaction
from darkroom.objects.names import StoredUpload


def name_blob(item: Object, tags: Mapping[str, str], condition: Condition, transaction: Transaction) -> Object:
    """Let a key point to a blob."""
    db = transaction.connection
    the_bucket(db, item.bucket)
    old = names.find_object(db, item.bucket, check_key(item.key))
    check(condition, old, item.key)
    names.replace_object(db, item, tags)
    transaction.named.append(item.blob)
    if old:
        transaction.dropped.append(old.blob)
    return replace(item, tag_count=len(tags))


def remove_object(bucket: str, key: str, condition: Condition, transaction: Transaction) -> None:
    db = transaction.connection
    the_bucket(db, bucket)
    old = names.find_object(db, bucket, check_key(key))
    check(condition, old, key)
    if old:
        names.remove_object(db, bucket, key)
        transaction.dropped.append(old.blob)


def end_upload(item: Object, tags: Mapping[str, str], condition: Condition, transaction: Transaction) -> Object:
    """Let a key point to the joined parts and forget the upload. Somebody else may have done it meanwhile."""
    db = transaction.connection
    if names.find_upload(db, item.bucket, item.key, item.upload) is None:
        done = completed(names.find_object(db, item.bucket, item.key), item.upload)
        if done.blob != item.blob:
            transaction.dropped.append(item.blob)
        return done
    named = name_blob(item, tags, condition, transaction)
    transaction.dropped += [blob for blob in names.remove_upload(db, item.upload) if blob != item.blob]
    return named


def completed(there: Object | None, upload_id: str) -> Object:
    """The object that an upload became: clients that lost the answer ask again."""
    if there is None or there.upload != upload_id:
        raise NotFound("upload", upload_id)
    return there


def check(condition: Condition, there: Object | None, key: str) -> None:
    if condition.absent and there:
        raise PreconditionFailed(f"object {key!r} exists already")
    if condition.etag is not None:
        if there is None:
            raise NotFound("key", key)
        if condition.etag not in ("*", there.etag):
            raise PreconditionFailed(f"object {key!r} has ETag {there.etag!r}, not {condition.etag!r}")


def the_bucket(db: Connection, name: str) -> Bucket:
    if (found := names.find_bucket(db, name)) is None:
        raise NotFound("bucket", name)
    return found


def the_object(db: Connection, bucket: str, key: str) -> Object:
    found = names.find_object(db, bucket, check_key(key))
    if found is None:
        the_bucket(db, bucket)
        raise NotFound("key", key)
    return found


def the_upload(db: Connection, bucket: str, key: str, upload_id: str) -> StoredUpload:
    if (found := names.find_upload(db, bucket, check_key(key), upload_id)) is None:
        raise NotFound("upload", upload_id)
    return found


def check_key(key: str) -> str:
    """The key itself. Raises Invalid for one that S3 does not allow."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise Invalid(f"key {key!r} is not valid UTF-8") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise Invalid(f"a key has 1 to {MAX_KEY_BYTES} bytes of UTF-8; this one has {size}")
    return key
