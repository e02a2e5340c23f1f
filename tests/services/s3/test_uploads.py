"""Multipart uploads through boto3 and its transfer manager."""

import base64
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from darkroom.testing.live_s3 import LiveS3
from tests.services.s3.refusals import refusal, refused

MIB = 2**20
A, B = b"a" * 5 * MIB, b"bee"


def begin(s3: Any, bucket: str, key: str = "big", **params: Any) -> dict[str, str]:
    """Where the parts go."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key, **params)["UploadId"]
    return {"Bucket": bucket, "Key": key, "UploadId": upload_id}


def send(s3: Any, where: dict[str, str], number: int, body: bytes, **params: Any) -> dict[str, Any]:
    """One part, as Complete wants it."""
    sent = s3.upload_part(**where, PartNumber=number, Body=body, **params)
    checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": sent["ETag"]} | checksums


def complete(s3: Any, where: dict[str, str], *parts: dict[str, Any], **params: Any) -> dict[str, Any]:
    return dict(s3.complete_multipart_upload(**where, MultipartUpload={"Parts": list(parts)}, **params))


def test_the_transfer_manager_there_and_back(s3: Any, bucket: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * (20 * MIB // 256) + b"tail"
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4)
    extra = {"ContentType": "application/x-recordio", "Metadata": {"k": "v"}}
    s3.upload_fileobj(io.BytesIO(content), bucket, "train.rec", Config=config, ExtraArgs=extra)
    head = s3.head_object(Bucket=bucket, Key="train.rec", ChecksumMode="ENABLED")
    md5s = [hashlib.md5(content[n : n + 8 * MIB]).digest() for n in range(0, len(content), 8 * MIB)]
    assert head["ETag"] == f'"{hashlib.md5(b"".join(md5s)).hexdigest()}-3"'
    assert (head["ContentLength"], head["ContentType"]) == (len(content), "application/x-recordio")
    crcs = [zlib.crc32(content[n : n + 8 * MIB]).to_bytes(4, "big") for n in range(0, len(content), 8 * MIB)]
    whole = base64.b64encode(zlib.crc32(b"".join(crcs)).to_bytes(4, "big")).decode()
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (f"{whole}-3", "COMPOSITE")
    s3.download_file(bucket, "train.rec", str(tmp_path / "train.rec"), Config=config)
    assert (tmp_path / "train.rec").read_bytes() == content


def test_by_hand_out_of_order(s3: Any, bucket: str, server: LiveS3) -> None:
    where = begin(s3, bucket, Metadata={"k": "v"}, Tagging="a=1")
    second, first = send(s3, where, 2, B), send(s3, where, 1, A)
    done = complete(s3, where, first, second)
    assert (done["Bucket"], done["Key"], done["Location"]) == (bucket, "big", f"{server.url}/{bucket}/big")
    got = s3.get_object(Bucket=bucket, Key="big")
    assert (got["Body"].read(), got["Metadata"], got["ETag"]) == (A + B, {"k": "v"}, done["ETag"])
    assert s3.get_object_tagging(Bucket=bucket, Key="big")["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_parts_may_be_read_by_number(s3: Any, bucket: str) -> None:
    where = begin(s3, bucket)
    complete(s3, where, send(s3, where, 1, A), send(s3, where, 2, B))
    got = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (got["Body"].read(), got["PartsCount"], got["ContentRange"]) == (
        *(B, 2),
        f"bytes {len(A)}-{len(A) + 2}/{len(A) + 3}",
    )
    assert refused(s3.get_object, Bucket=bucket, Key="big", PartNumber=3) == ("InvalidPartNumber", 416)
    found = s3.get_object_attributes(Bucket=bucket, Key="big", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert (found["TotalPartsCount"], [part["Size"] for part in found["Parts"]]) == (2, [len(A), len(B)])


def test_a_full_object_crc_is_put_together_from_the_parts(s3: Any, bucket: str) -> None:
    where = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [send(s3, where, 1, A, ChecksumAlgorithm="CRC32"), send(s3, where, 2, B, ChecksumAlgorithm="CRC32")]
    right = base64.b64encode(zlib.crc32(A + B).to_bytes(4, "big")).decode()
    wrong = refusal(complete, s3, where, *parts, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    assert wrong["Error"]["Code"] == "BadDigest"
    done = complete(s3, where, *parts, ChecksumCRC32=right, ChecksumType="FULL_OBJECT")
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (right, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert got["Body"].read() == A + B  # the client compares
    assert got["ChecksumCRC32"] == right


@pytest.mark.parametrize("name", ["SHA256", "SHA1", "CRC32C"])
def test_composite_checksums(s3: Any, bucket: str, name: str) -> None:
    where = begin(s3, bucket, ChecksumAlgorithm=name)
    parts = [send(s3, where, n, body, ChecksumAlgorithm=name) for n, body in ((1, A), (2, B))]
    done = complete(s3, where, *parts)
    assert done[f"Checksum{name}"].endswith("-2")
    listed = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert (listed[f"Checksum{name}"], listed["ChecksumType"]) == (done[f"Checksum{name}"], "COMPOSITE")


def test_checksum_kinds_that_do_not_exist(s3: Any, bucket: str) -> None:
    for algorithm, kind in (("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")):
        asked = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
        assert refused(begin, s3, bucket, **asked) == ("InvalidRequest", 400)


def test_a_part_with_another_checksum_is_refused(s3: Any, bucket: str) -> None:
    where = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    part = send(s3, where, 1, B)
    assert refused(complete, s3, where, part | {"ChecksumCRC32": "AAAAAA=="}) == ("InvalidPart", 400)
    assert refused(s3.upload_part, **where, PartNumber=2, Body=B, ChecksumCRC32="AAAAAA==") == ("BadDigest", 400)


def test_what_cannot_be_completed(s3: Any, bucket: str) -> None:
    where = begin(s3, bucket)
    small, end = send(s3, where, 1, b"small"), send(s3, where, 2, B)
    assert refused(complete, s3, where, small, end) == ("EntityTooSmall", 400)
    assert refused(complete, s3, where, end, small) == ("InvalidPartOrder", 400)
    assert refused(complete, s3, where, {"PartNumber": 3, "ETag": end["ETag"]}) == ("InvalidPart", 400)
    assert refused(complete, s3, where, small | {"ETag": end["ETag"]}) == ("InvalidPart", 400)
    assert refused(complete, s3, where) == ("MalformedXML", 400)
    assert refused(s3.upload_part, **where, PartNumber=10001, Body=B) == ("InvalidArgument", 400)
    complete(s3, where, end)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == B


def test_completing_under_a_condition(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="big", Body=b"first")
    where = begin(s3, bucket)
    part = send(s3, where, 1, B)
    assert refused(complete, s3, where, part, IfNoneMatch="*") == ("PreconditionFailed", 412)
    complete(s3, where, part)


def test_asking_twice_for_the_same_answer(s3: Any, bucket: str) -> None:
    """As a client does whose connection broke before the answer came."""
    where = begin(s3, bucket)
    part = send(s3, where, 1, B)
    assert complete(s3, where, part)["ETag"] == complete(s3, where, part)["ETag"]
    s3.put_object(Bucket=bucket, Key="big", Body=b"newer")
    assert refused(complete, s3, where, part) == ("NoSuchUpload", 404)


def test_aborting(s3: Any, bucket: str) -> None:
    where = begin(s3, bucket)
    part = send(s3, where, 1, B)
    s3.abort_multipart_upload(**where)
    assert refused(complete, s3, where, part) == ("NoSuchUpload", 404)
    assert refused(s3.abort_multipart_upload, **where) == ("NoSuchUpload", 404)
    assert refused(s3.upload_part, **where, PartNumber=1, Body=B) == ("NoSuchUpload", 404)
    assert refused(s3.list_parts, **where) == ("NoSuchUpload", 404)


def test_copies_of_ranges_as_parts(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=A + B)
    where = begin(s3, bucket)
    copy = {"CopySource": {"Bucket": bucket, "Key": "source"}}
    first = s3.upload_part_copy(**where, **copy, PartNumber=1, CopySourceRange=f"bytes=0-{len(A) - 1}")
    second = s3.upload_part_copy(**where, **copy, PartNumber=2)
    parts = [{"PartNumber": n, "ETag": part["CopyPartResult"]["ETag"]} for n, part in ((1, first), (2, second))]
    complete(s3, where, *parts)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == A + A + B
    beyond = f"bytes=0-{len(A) + 3}"
    assert refused(s3.upload_part_copy, **where | copy, PartNumber=3, CopySourceRange=beyond)[0] == "NoSuchUpload"


def test_a_large_copy_by_the_transfer_manager(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=A + A)
    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=5 * MIB)
    s3.copy({"Bucket": bucket, "Key": "source"}, bucket, "copy", Config=config)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == A + A


def test_parts_are_listed_in_pages(s3: Any, bucket: str) -> None:
    where = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    for number in (3, 1, 7):
        send(s3, where, number, bytes([number]))
    page = s3.list_parts(**where, MaxParts=2)
    assert [part["PartNumber"] for part in page["Parts"]] == [1, 3]
    assert (page["IsTruncated"], page["NextPartNumberMarker"], page["ChecksumAlgorithm"]) == (True, 3, "CRC32")
    pages = s3.get_paginator("list_parts").paginate(**where, PaginationConfig={"PageSize": 1})
    assert [part["PartNumber"] for page in pages for part in page["Parts"]] == [1, 3, 7]
    assert all("ChecksumCRC32" in part for part in page["Parts"])


def test_uploads_are_listed_in_pages(s3: Any, bucket: str) -> None:
    made = [begin(s3, bucket, key)["UploadId"] for key in ("a", "a", "d/b", "d/c", "z")]
    listed = s3.list_multipart_uploads(Bucket=bucket)
    assert [item["UploadId"] for item in listed["Uploads"]] == made
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [item["UploadId"] for page in pages for item in page["Uploads"]] == made
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [item["Key"] for item in rolled["Uploads"]] == ["a", "a", "z"]
    assert [item["Prefix"] for item in rolled["CommonPrefixes"]] == ["d/"]
    assert [i["Key"] for i in s3.list_multipart_uploads(Bucket=bucket, Prefix="d/")["Uploads"]] == ["d/b", "d/c"]
    s3.delete_bucket(Bucket=bucket)
