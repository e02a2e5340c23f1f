"""The service in front of an external S3: a client must not notice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig

from darkroom.objects.external import ExternalStore
from darkroom.testing.live_s3 import KEY, SECRET, LiveS3, live_s3
from tests.services.s3.refusals import refused
from tests.services.s3.test_public import public_read

MIB = 2**20


@pytest.fixture(scope="module")
def front(server: LiveS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveS3]:
    folder = tmp_path_factory.mktemp("front")
    store = ExternalStore(server.url, KEY, SECRET, spool=folder / "spool")
    with live_s3(folder, store) as live:
        yield live
    store.close()


@pytest.fixture(scope="module")
def through(front: LiveS3, session: boto3.Session) -> Any:
    return session.client("s3", endpoint_url=front.url)


def test_objects(through: Any, s3: Any, bucket: str) -> None:
    through.put_object(Bucket=bucket, Key="a/ü k", Body=b"hello", Metadata={"k": "v"}, Tagging="a=1")
    got = through.get_object(Bucket=bucket, Key="a/ü k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["Metadata"], "ChecksumCRC32" in got) == (b"hello", {"k": "v"}, True)
    assert through.get_object(Bucket=bucket, Key="a/ü k", Range="bytes=1-2")["Body"].read() == b"el"
    through.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/ü k"})
    assert s3.get_object(Bucket=bucket, Key="copy")["Metadata"] == {"k": "v"}
    page = through.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert ([i["Key"] for i in page["Contents"]], [p["Prefix"] for p in page["CommonPrefixes"]]) == (["copy"], ["a/"])
    assert refused(through.get_object, Bucket=bucket, Key="nope") == ("NoSuchKey", 404)
    assert refused(through.put_object, Bucket=bucket, Key="copy", Body=b"x", IfNoneMatch="*")[1] == 412
    through.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "a/ü k"}]})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_uploads(through: Any, s3: Any, bucket: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * (13 * MIB // 256)
    (tmp_path / "sent").write_bytes(content)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    through.upload_file(str(tmp_path / "sent"), bucket, "big", Config=config)
    through.download_file(bucket, "big", str(tmp_path / "got"), Config=config)
    assert (tmp_path / "got").read_bytes() == content
    direct = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert direct["ETag"].endswith('-3"')
    assert (
        direct["ChecksumCRC32"]
        == through.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")["ChecksumCRC32"]
    )


def test_policies(through: Any, s3: Any, nobody: Any, bucket: str) -> None:
    through.put_object(Bucket=bucket, Key="k", Body=b"shared")
    through.put_bucket_policy(Bucket=bucket, Policy=public_read(bucket))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(public_read(bucket))
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"shared"
    assert refused(through.get_public_access_block, Bucket=bucket)[0] == "NoSuchPublicAccessBlockConfiguration"


def test_buckets(through: Any, s3: Any, bucket: str) -> None:
    name = f"{bucket}-through"
    through.create_bucket(Bucket=name)
    assert name in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    through.create_bucket(Bucket=name)
    assert refused(through.get_object, Bucket="no-such-bucket-here", Key="k") == ("NoSuchBucket", 404)
    through.delete_bucket(Bucket=name)
    assert refused(through.head_bucket, Bucket=name) == ("404", 404)
