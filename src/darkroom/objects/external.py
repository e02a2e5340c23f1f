"""Objects kept in an external S3 (AWS, MinIO, Ceph, another Darkroom) behind the same protocol.

Writes are spooled to files, because S3 wants to know length and checksum first; reads stream. Nothing is kept here
between two calls. Knows that S3's API and its errors; refuses to know who asks.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.utils import ReadFileChunk

from darkroom.errors import Conflict, Invalid, NotFound, PreconditionFailed, Unavailable
from darkroom.objects import external_documents, external_shapes
from darkroom.objects.base import (
    ALWAYS,
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
from darkroom.objects.blobs import READ_BYTES, FileWriter
from darkroom.objects.changes import check_key
from darkroom.objects.external_shapes import condition_params, head_params, listed, object_of, part_of
from darkroom.objects.listing import common_prefix

BEYOND = "\U0010ffff"  # after every other character
CONNECTIONS = 32
MAX_PUT_BYTES = 5 * 2**30  # S3 takes no larger ones in one piece


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_id() -> str:
    return uuid.uuid4().hex


class ExternalStore:
    """An ``ObjectStore`` at ``endpoint``. ``spool`` is a folder for unfinished writes; it is emptied at the start."""

    def __init__(
        self,
        endpoint: str,
        key: str,
        secret: str,
        *,
        spool: Path,
        region: str = "us-east-1",
        now: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
        max_put_bytes: int = MAX_PUT_BYTES,
    ) -> None:
        self._max_put_bytes = max_put_bytes
        self._endpoint, self._spool, self._now, self._new_id = endpoint, spool, now, new_id
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in spool.iterdir():
            left.unlink()
        self._s3 = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(
                max_pool_connections=CONNECTIONS,
                retries={"mode": "standard", "max_attempts": 3},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def close(self) -> None:
        self._s3.close()

    # Buckets ----------------------------------------------------------------------------------------------

    def create_bucket(self, name: str) -> Bucket:
        with self._translated():
            try:
                self._s3.head_bucket(Bucket=name)
            except ClientError as error:
                if status_of(error) != 404:
                    raise
            else:
                raise Conflict("bucket", name, f"bucket {name!r} exists already")
            self._s3.create_bucket(Bucket=name)
        return self.bucket(name)

    def delete_bucket(self, name: str) -> None:
        with self._translated(bucket=name):
            for upload in self.uploads(name):
                self.abort_upload(upload)
            self._s3.delete_bucket(Bucket=name)

    def bucket(self, name: str) -> Bucket:
        for bucket in self.buckets():
            if bucket.name == name:
                return bucket
        raise NotFound("bucket", name)

    def buckets(self) -> Sequence[Bucket]:
        with self._translated():
            found = self._s3.list_buckets()["Buckets"]
        return [Bucket(item["Name"], item["CreationDate"]) for item in found]

    def document(self, bucket: str, name: str) -> str | None:
        with self._translated(bucket=bucket):
            return external_documents.read(self._s3, bucket, name)

    def set_document(self, bucket: str, name: str, text: str | None) -> None:
        with self._translated(bucket=bucket):
            external_documents.write(self._s3, bucket, name, text)

    # Objects ----------------------------------------------------------------------------------------------

    def writer(self, checksums: Sequence[str] = ()) -> BlobWriter:
        path = self._spool / self._new_id()
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        return FileWriter(str(path), file, checksums, done=lambda committed: None if committed else path.unlink())

    def discard(self, blob: Blob) -> None:
        Path(blob.id).unlink(missing_ok=True)

    def put(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        head: Mapping[str, Any] = NO_HEAD,
        tags: Mapping[str, str] = NO_TAGS,
        condition: Condition = ALWAYS,
    ) -> Object:
        try:
            return self._send(bucket, key, Path(blob.id), head, tags, condition)
        finally:
            self.discard(blob)

    def put_file(self, bucket: str, key: str, path: Path, head: Mapping[str, Any] = NO_HEAD) -> Object:
        return self._send(bucket, key, path, head, NO_TAGS, ALWAYS)

    def _send(
        self, bucket: str, key: str, path: Path, head: Mapping[str, Any], tags: Mapping[str, str], condition: Condition
    ) -> Object:
        if path.stat().st_size > self._max_put_bytes:
            return self._send_in_parts(bucket, key, path, head, tags, condition)
        params = {"Bucket": bucket, "Key": check_key(key)} | head_params(head) | condition_params(condition)
        if tags:
            params["Tagging"] = urlencode(tags)
        with self._translated(bucket, key), path.open("rb") as body:
            self._s3.put_object(Body=body, **params)
        return self.get(bucket, key)

    def _send_in_parts(
        self, bucket: str, key: str, path: Path, head: Mapping[str, Any], tags: Mapping[str, str], condition: Condition
    ) -> Object:
        upload = self.create_upload(bucket, key, head_params(head, checksums=False), tags)
        done = []
        try:
            for number, start in enumerate(range(0, path.stat().st_size, self._max_put_bytes), 1):
                with (
                    self._translated(bucket, key),
                    ReadFileChunk.from_filename(path, start, self._max_put_bytes) as body,
                ):
                    found = self._s3.upload_part(**_named(upload), PartNumber=number, Body=body)
                    done.append((number, found["ETag"].strip('"')))
            return self.complete_upload(upload, done, condition=condition)
        except BaseException:
            self.abort_upload(upload)
            raise

    def get(self, bucket: str, key: str) -> Object:
        with self._translated(bucket, key):
            try:
                found = self._s3.head_object(Bucket=bucket, Key=check_key(key), ChecksumMode="ENABLED")
            except ClientError as error:
                if status_of(error) == 404:  # a HEAD does not say what is missing
                    self._s3.head_bucket(Bucket=bucket)
                raise
        return object_of(bucket, key, found)

    def read(self, item: Object, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        end = item.size if stop is None else min(stop, item.size)
        if start >= end:
            return
        where = {"Bucket": item.bucket, "Key": item.key, "IfMatch": item.etag}
        with self._translated(item.bucket, item.key):
            body = self._s3.get_object(Range=f"bytes={start}-{end - 1}", **where)["Body"]
            with body:
                yield from body.iter_chunks(READ_BYTES)

    def path(self, item: Object) -> Path | None:
        return None

    def copy(
        self,
        source: Object,
        bucket: str,
        key: str,
        head: Mapping[str, Any],
        tags: Mapping[str, str] = NO_TAGS,
        condition: Condition = ALWAYS,
    ) -> Object:
        params = {"Bucket": bucket, "Key": check_key(key)} | head_params(head, checksums=False)
        params |= condition_params(condition) | {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
        if tags:
            params["Tagging"] = urlencode(tags)
        with self._translated(bucket, source.key):
            where = {"Bucket": source.bucket, "Key": source.key}
            self._s3.copy_object(CopySource=where, CopySourceIfMatch=source.etag, **params)
        return self.get(bucket, key)

    def delete(self, bucket: str, key: str, condition: Condition = ALWAYS) -> None:
        with self._translated(bucket, key):
            self._s3.delete_object(Bucket=bucket, Key=check_key(key), **condition_params(condition))

    def delete_all(self, bucket: str, keys: Sequence[str]) -> None:
        if not keys:
            return
        with self._translated(bucket=bucket):
            wanted = {"Objects": [{"Key": check_key(key)} for key in keys], "Quiet": True}
            failed = self._s3.delete_objects(Bucket=bucket, Delete=wanted).get("Errors")
        if failed:
            raise Unavailable(f"{len(failed)} of {len(keys)} objects were not deleted; first: {failed[0]}")

    def list(self, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Listing:
        under = common_prefix(after, prefix, delimiter) if after else None
        params = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": min(max(limit, 0), 1000)}
        params["StartAfter"] = after if under is None else under + BEYOND
        with self._translated(bucket=bucket):
            return listed(bucket, self._s3.list_objects_v2(**{k: v for k, v in params.items() if v != ""}))

    def tags(self, bucket: str, key: str) -> Mapping[str, str]:
        with self._translated(bucket, key):
            found = self._s3.get_object_tagging(Bucket=bucket, Key=check_key(key))["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        with self._translated(bucket, key):
            tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
            self._s3.put_object_tagging(Bucket=bucket, Key=check_key(key), Tagging={"TagSet": tag_set})

    # Uploads ----------------------------------------------------------------------------------------------

    def create_upload(
        self, bucket: str, key: str, head: Mapping[str, Any] = NO_HEAD, tags: Mapping[str, str] = NO_TAGS
    ) -> Upload:
        params = {"Bucket": bucket, "Key": check_key(key)} | external_shapes.upload_params(head)
        if tags:
            params["Tagging"] = urlencode(tags)
        with self._translated(bucket, key):
            upload_id = self._s3.create_multipart_upload(**params)["UploadId"]
        return Upload(upload_id, bucket, key, head, self._now(), tags)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """What S3 tells of an upload: its checksum, not its other headers."""
        with self._translated(bucket, key, upload_id):
            found = self._s3.list_parts(Bucket=bucket, Key=check_key(key), UploadId=upload_id, MaxParts=1)
        head = {name: found[name] for name in ("ChecksumAlgorithm", "ChecksumType") if name in found}
        return Upload(upload_id, bucket, key, head, self._now())

    def uploads(self, bucket: str, prefix: str = "") -> Sequence[Upload]:
        with self._translated(bucket=bucket):
            pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
            found = [item for page in pages for item in page.get("Uploads", ())]
        return [Upload(item["UploadId"], bucket, item["Key"], {}, item["Initiated"]) for item in found]

    def part_writer(
        self, upload: Upload, number: int, size: int | None = None, checksums: Sequence[str] = ()
    ) -> BlobWriter:
        return self.writer(checksums)

    def put_part(self, upload: Upload, number: int, blob: Blob) -> Part:
        try:
            with self._translated(upload.bucket, upload.key, upload.id), Path(blob.id).open("rb") as body:
                checksums = external_shapes.checksum_params(blob.checksums)
                found = self._s3.upload_part(**_named(upload), PartNumber=number, Body=body, **checksums)
        finally:
            self.discard(blob)
        return Part(number, blob.size, found["ETag"].strip('"'), self._now(), blob.checksums)

    def parts(self, upload: Upload) -> Sequence[Part]:
        with self._translated(upload.bucket, upload.key, upload.id):
            pages = self._s3.get_paginator("list_parts").paginate(**_named(upload))
            return [part_of(item) for page in pages for item in page.get("Parts", ())]

    def complete_upload(
        self,
        upload: Upload,
        parts: Sequence[tuple[int, str]],
        head: Mapping[str, Any] | None = None,
        condition: Condition = ALWAYS,
    ) -> Object:
        """The external S3 made up its mind about the head when the upload was created."""
        checksums: dict[int, Mapping[str, bytes]] = {}
        if "ChecksumAlgorithm" in upload.head:
            checksums = {part.number: part.checksums for part in self.parts(upload)}
        wanted = [
            {"PartNumber": n, "ETag": etag} | external_shapes.checksum_params(checksums.get(n, {})) for n, etag in parts
        ]
        with self._translated(upload.bucket, upload.key, upload.id):
            self._s3.complete_multipart_upload(
                **_named(upload), MultipartUpload={"Parts": wanted}, **condition_params(condition)
            )
        return self.get(upload.bucket, upload.key)

    def abort_upload(self, upload: Upload) -> None:
        with self._translated(upload.bucket, upload.key, upload.id):
            self._s3.abort_multipart_upload(**_named(upload))

    @contextmanager
    def _translated(self, bucket: str = "", key: str = "", upload: str = "") -> Iterator[None]:
        """The external S3's errors as the store's own."""
        try:
            yield
        except ClientError as error:
            raise _domain_error(error, bucket, key, upload) from error
        except BotoCoreError as error:
            raise Unavailable(f"the external S3 at {self._endpoint} cannot be used: {error}") from error


def _named(upload: Upload) -> dict[str, str]:
    return {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.id}


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _domain_error(error: ClientError, bucket: str, key: str, upload: str) -> Exception:
    code, text = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    match code:
        case "NoSuchBucket":
            return NotFound("bucket", bucket)
        case "NoSuchUpload":
            return NotFound("upload", upload)
        case "InvalidPart":
            return NotFound("part", str(error.response["Error"].get("PartNumber", "")))
        case "EntityTooSmall":
            return Conflict("part", str(error.response["Error"].get("PartNumber", "")), text)
        case "BucketNotEmpty" | "BucketAlreadyOwnedByYou" | "BucketAlreadyExists":
            return Conflict("bucket", bucket, text)
        case "NoSuchKey":
            return NotFound("key", key)
        case "404":  # of a HEAD, which has no body
            return NotFound("key", key) if error.operation_name == "HeadObject" else NotFound("bucket", bucket)
    status = status_of(error)
    if status == 412:
        return PreconditionFailed(text)
    if status >= 500 or status in (401, 403, 429):
        return Unavailable(f"the external S3 refuses: {code} {text}")
    return Invalid(f"the external S3 refuses: {code} {text}")
