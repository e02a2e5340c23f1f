"""Objects through boto3."""

import base64
import hashlib
import urllib.request
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config

from tests.services.s3.refusals import refusal, refused

MIB = 2**20
ODD_KEYS = [
    "ü n/i+c%ode.txt",
    "a//b",
    "dot/../x",
    "q?&=x",
    "tilde~()!*",
    "a\nb",
    "日本/写真.jpg",
    "%2F",
    "..",
    "x" * 1024,
]


def body_of(s3: Any, bucket: str, key: str, **params: Any) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key, **params)["Body"].read()
    return content


def test_what_was_put_comes_back(s3: Any, bucket: str) -> None:
    expires = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    headers = {"ContentType": "text/x", "CacheControl": "no-cache", "ContentDisposition": "attachment"}
    headers |= {"ContentEncoding": "gzip", "ContentLanguage": "de"}
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", Metadata={"Camera": "x"}, Expires=expires, **headers)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"hello"
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert {name: got[name] for name in headers} == headers
    assert got["Metadata"] == {"camera": "x"}
    assert got["ExpiresString"] == "Mon, 03 Feb 2031 04:05:06 GMT"
    assert abs(datetime.now(UTC) - got["LastModified"]) < timedelta(minutes=1)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["AcceptRanges"], head["ETag"]) == (5, "bytes", put["ETag"])


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 17])
def test_bodies_of_any_size(s3: Any, bucket: str, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    s3.put_object(Bucket=bucket, Key="k", Body=content)
    assert body_of(s3, bucket, "k") == content


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_of_any_kind(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert body_of(s3, bucket, key) == key.encode()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_key_has_a_limit(s3: Any, bucket: str) -> None:
    error = refusal(s3.put_object, Bucket=bucket, Key="é" * 513, Body=b"")["Error"]
    assert (error["Code"], error["Size"], error["MaxSizeAllowed"]) == ("KeyTooLongError", "1026", "1024")


def test_errors_are_the_typed_ones(s3: Any, bucket: str) -> None:
    with pytest.raises(s3.exceptions.NoSuchKey) as caught:
        s3.get_object(Bucket=bucket, Key="nope")
    assert caught.value.response["Error"]["Key"] == "nope"
    assert caught.value.response["Error"]["Message"] == "The specified key does not exist."
    with pytest.raises(s3.exceptions.NoSuchBucket) as missing:
        s3.put_object(Bucket="no-such-bucket-here", Key="k", Body=b"x")
    assert missing.value.response["Error"]["BucketName"] == "no-such-bucket-here"
    assert refused(s3.head_object, Bucket=bucket, Key="nope") == ("404", 404)


def test_deleting_is_idempotent(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    result = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ghost"}, {"Key": "other"}]})
    assert [item["Key"] for item in result["Deleted"]] == ["ghost", "other"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ghost"}], "Quiet": True})
    assert "Deleted" not in quiet


# Ranges and conditions


@pytest.mark.parametrize(
    ("header", "expected"), [("bytes=1-3", b"ell"), ("bytes=3-", b"lo"), ("bytes=-2", b"lo"), ("bytes=0-99", b"hello")]
)
def test_ranges(s3: Any, bucket: str, header: str, expected: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    got = s3.get_object(Bucket=bucket, Key="k", Range=header, ChecksumMode="ENABLED")
    start = b"hello".index(expected)
    assert got["Body"].read() == expected
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {start}-{start + len(expected) - 1}/5"
    assert "ChecksumCRC32" not in got
    head = s3.head_object(Bucket=bucket, Key="k", Range=header)
    assert (head["ContentLength"], head["ResponseMetadata"]["HTTPStatusCode"]) == (len(expected), 206)


def test_a_range_beyond_the_end_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    error = refusal(s3.get_object, Bucket=bucket, Key="k", Range="bytes=5-")
    assert (error["Error"]["Code"], error["Error"]["ActualObjectSize"]) == ("InvalidRange", "5")
    assert error["ResponseMetadata"]["HTTPHeaders"]["content-range"] == "bytes */5"


def test_conditional_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"hello")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert body_of(s3, bucket, "k", IfMatch=etag, Range="bytes=0-1") == b"he"
    assert refused(s3.get_object, Bucket=bucket, Key="k", IfMatch='"other"') == ("PreconditionFailed", 412)
    assert refused(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag) == ("304", 304)
    assert refused(s3.head_object, Bucket=bucket, Key="k", IfModifiedSince=modified) == ("304", 304)
    assert refused(s3.head_object, Bucket=bucket, Key="k", IfUnmodifiedSince=modified - timedelta(days=1))[1] == 412
    headers = refusal(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag)["ResponseMetadata"]["HTTPHeaders"]
    assert headers["etag"] == etag


def test_conditional_writes(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"two", IfNoneMatch="*") == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"three", IfMatch=etag)
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"four", IfMatch=etag) == ("PreconditionFailed", 412)
    assert refused(s3.put_object, Bucket=bucket, Key="new", Body=b"x", IfMatch=etag) == ("NoSuchKey", 404)
    assert refused(s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag) == ("PreconditionFailed", 412)
    assert body_of(s3, bucket, "k") == b"three"


# Checksums

CHECK = b"123456789"  # the input of the check values in the CRC catalogue
CHECKSUMS = {
    "CRC32": bytes.fromhex("cbf43926"),
    "CRC32C": bytes.fromhex("e3069283"),
    "CRC64NVME": bytes.fromhex("ae8b14860a799888"),
    "SHA1": hashlib.sha1(CHECK).digest(),
    "SHA256": hashlib.sha256(CHECK).digest(),
}


def text(checksum: bytes) -> str:
    return base64.b64encode(checksum).decode()


@pytest.mark.parametrize("name", CHECKSUMS)
def test_checksums_are_verified_kept_and_echoed(s3: Any, bucket: str, name: str) -> None:
    member, right = f"Checksum{name}", text(CHECKSUMS[name])
    put = s3.put_object(Bucket=bucket, Key="k", Body=CHECK, ChecksumAlgorithm=name)
    assert (put[member], put["ChecksumType"]) == (right, "FULL_OBJECT")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == right
    assert member not in s3.head_object(Bucket=bucket, Key="k")
    assert body_of(s3, bucket, "k", ChecksumMode="ENABLED") == CHECK  # the client compares
    wrong = {member: text(b"\x01" * len(CHECKSUMS[name]))}
    error = refusal(s3.put_object, Bucket=bucket, Key="bad", Body=CHECK, **wrong)["Error"]
    assert (error["Code"], name in error["Message"]) == ("BadDigest", True)
    assert refused(s3.head_object, Bucket=bucket, Key="bad") == ("404", 404)


def test_checksums_that_are_none_are_refused(s3: Any, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    assert refused(s3.put_object, **put, ChecksumCRC32="AAAA") == ("InvalidRequest", 400)
    assert refused(s3.put_object, **put, ChecksumSHA1="!") == ("InvalidRequest", 400)


def test_content_md5(s3: Any, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "k", "Body": b"hello"}
    s3.put_object(**put, ContentMD5=base64.b64encode(hashlib.md5(b"hello").digest()).decode())
    error = refusal(s3.put_object, **put, ContentMD5=base64.b64encode(b"x" * 16).decode())["Error"]
    assert (error["Code"], error["CalculatedDigest"]) == ("BadDigest", "XUFAKrxLKna5cZ2REBfFkg==")
    assert refused(s3.put_object, **put, ContentMD5="short") == ("InvalidDigest", 400)


# Copies


def test_a_copy_keeps_metadata_unless_told_otherwise(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="ü +/a", Body=b"hello", ContentType="text/x", Metadata={"k": "v"}, Tagging="a=1")
    source = {"Bucket": bucket, "Key": "ü +/a"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)["CopyObjectResult"]
    assert copied["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"], got["TagCount"]) == (
        *(b"hello", "text/x", {"k": "v"}),
        1,
    )
    assert got["ChecksumCRC32"] == text(zlib.crc32(b"hello").to_bytes(4, "big"))
    told = {"MetadataDirective": "REPLACE", "Metadata": {"new": "1"}, "TaggingDirective": "REPLACE"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ContentType="text/y", Tagging="b=2&c=3", **told)
    got = s3.head_object(Bucket=bucket, Key="copy")
    assert (got["ContentType"], got["Metadata"]) == ("text/y", {"new": "1"})
    tags = s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"]
    assert tags == [{"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}]


def test_a_copy_may_get_another_checksum(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    source = {"Bucket": bucket, "Key": "k"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == text(hashlib.sha256(b"hello").digest())


def test_copying_onto_itself_must_change_something(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    itself = {"Bucket": bucket, "Key": "k", "CopySource": f"{bucket}/k"}
    assert refused(s3.copy_object, **itself) == ("InvalidRequest", 400)
    s3.copy_object(**itself, MetadataDirective="REPLACE", Metadata={"a": "b"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "b"}
    assert body_of(s3, bucket, "k") == b"hello"


def test_copies_under_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"hello")["ETag"]
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/k"}
    assert refused(s3.copy_object, **copy, CopySourceIfMatch='"other"') == ("PreconditionFailed", 412)
    assert refused(s3.copy_object, **copy, CopySourceIfNoneMatch=etag) == ("PreconditionFailed", 412)
    s3.copy_object(**copy, CopySourceIfMatch=etag)
    assert refused(s3.copy_object, **copy | {"CopySource": f"{bucket}/nope"}) == ("NoSuchKey", 404)


# Tags, attributes, what is refused


def test_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags[:1]})
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 1
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert refused(s3.get_object_tagging, Bucket=bucket, Key="nope") == ("NoSuchKey", 404)


def test_attributes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    wanted = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert (found["ETag"], found["ObjectSize"]) == (hashlib.md5(b"hello").hexdigest(), 5)
    assert found["Checksum"]["ChecksumCRC32"] == text(zlib.crc32(b"hello").to_bytes(4, "big"))
    assert "ObjectParts" not in found


def test_response_headers_may_be_overridden(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="image/jpeg")
    asked = {"ResponseContentType": "text/plain", "ResponseContentDisposition": 'attachment; filename="x"'}
    got = s3.get_object(Bucket=bucket, Key="k", **asked)
    assert (got["ContentType"], got["ContentDisposition"]) == ("text/plain", 'attachment; filename="x"')


def test_what_is_not_done_here_is_refused_not_ignored(s3: Any, bucket: str) -> None:
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": datetime(2030, 1, 1, tzinfo=UTC)}
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **lock) == ("NotImplemented", 501)
    assert refused(s3.get_object, Bucket=bucket, Key="k", VersionId="abc") == ("NoSuchVersion", 404)


def test_presigned_urls_of_both_versions(client: Any, bucket: str) -> None:
    for version in ("s3", "s3v4"):
        s3 = client(Config(signature_version=version))
        where = {"Bucket": bucket, "Key": f"ü {version}"}
        url = s3.generate_presigned_url("put_object", Params=where)
        urllib.request.urlopen(urllib.request.Request(url, b"signed", {"content-type": ""}, method="PUT")).close()
        url = s3.generate_presigned_url("get_object", Params=where | {"ResponseContentType": "text/x"})
        with urllib.request.urlopen(url) as answer:
            assert (answer.read(), answer.headers["content-type"]) == (b"signed", "text/x")
