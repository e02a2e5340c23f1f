"""Listings through boto3."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from darkroom.testing.live_s3 import LiveS3
from tests.services.s3.refusals import refused

KEYS = ["a b+c%.jpg", "p/1", "p/2", "p/q/3", "p/q/4", "p/r/5", "z"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def keys(page: dict[str, Any]) -> list[str]:
    return [item["Key"] for item in page.get("Contents", [])]


def prefixes(page: dict[str, Any]) -> list[str]:
    return [item["Prefix"] for item in page.get("CommonPrefixes", [])]


def test_everything_in_order(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled)
    assert (keys(page), page["KeyCount"], page["IsTruncated"], page["Name"]) == (KEYS, 7, False, filled)
    first = page["Contents"][0]
    assert (first["Size"], first["StorageClass"]) == (len(KEYS[0]), "STANDARD")
    assert first["ETag"] == s3.head_object(Bucket=filled, Key=KEYS[0])["ETag"]


def test_prefix_and_delimiter(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, Prefix="p/", Delimiter="/")
    assert (keys(page), prefixes(page), page["KeyCount"]) == (["p/1", "p/2"], ["p/q/", "p/r/"], 4)
    assert prefixes(s3.list_objects(Bucket=filled, Prefix="p/", Delimiter="/")) == ["p/q/", "p/r/"]


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_join_to_the_whole(s3: Any, filled: str, operation: str, size: int) -> None:
    paginate = s3.get_paginator(operation).paginate
    for delimiter, expected in (("", KEYS), ("/", ["a b+c%.jpg", "p/", "z"])):
        asked = {"Delimiter": delimiter} if delimiter else {}
        pages = list(paginate(Bucket=filled, PaginationConfig={"PageSize": size}, **asked))
        assert sorted(key for page in pages for key in keys(page) + prefixes(page)) == expected
        assert all(len(keys(page) + prefixes(page)) <= size for page in pages)


def test_places_to_start(s3: Any, filled: str) -> None:
    assert keys(s3.list_objects_v2(Bucket=filled, StartAfter="p/q/3")) == ["p/q/4", "p/r/5", "z"]
    assert keys(s3.list_objects(Bucket=filled, Marker="p/2", Prefix="p/")) == ["p/q/3", "p/q/4", "p/r/5"]
    assert refused(s3.list_objects_v2, Bucket=filled, ContinuationToken="\xff?") == ("InvalidArgument", 400)
    assert keys(s3.list_objects_v2(Bucket=filled, MaxKeys=0)) == []


def test_the_owner_on_request(s3: Any, filled: str) -> None:
    assert "Owner" not in s3.list_objects_v2(Bucket=filled)["Contents"][0]
    assert len(s3.list_objects_v2(Bucket=filled, FetchOwner=True)["Contents"][0]["Owner"]["ID"]) == 64


def test_the_resource_api(server: LiveS3, session: boto3.Session, filled: str) -> None:
    bucket = session.resource("s3", endpoint_url=server.url).Bucket(filled)
    assert [item.key for item in bucket.objects.filter(Prefix="p/")] == KEYS[1:6]
    assert bucket.creation_date is not None
    bucket.objects.delete()
    assert list(bucket.objects.all()) == []
    bucket.delete()
    assert bucket.creation_date is None


def test_more_than_a_page_of_keys(server: LiveS3, s3: Any, bucket: str) -> None:
    names = [f"{number:05}" for number in range(1005)]
    store = server.store
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: store.put(bucket, name, store.writer().commit()), names))
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    assert (keys(page), page["IsTruncated"], page["MaxKeys"]) == (names[:1000], True, 1000)
    assert keys(s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])) == names[1000:]
    result = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names[:1000]]})
    assert len(result["Deleted"]) == 1000


def test_every_object_is_its_only_version(server: LiveS3, s3: Any, session: boto3.Session, filled: str) -> None:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=filled, PaginationConfig={"PageSize": 3})
    found = [(item["Key"], item["VersionId"], item["IsLatest"]) for page in pages for item in page["Versions"]]
    assert found == [(key, "null", True) for key in KEYS]
    wrong = {"Objects": [{"Key": "z", "VersionId": "abc"}, {"Key": "p/1", "VersionId": "null"}]}
    result = s3.delete_objects(Bucket=filled, Delete=wrong)
    assert [(e["Key"], e["Code"]) for e in result["Errors"]] == [("z", "NoSuchVersion")]
    assert [item["Key"] for item in result["Deleted"]] == ["p/1"]
    session.resource("s3", endpoint_url=server.url).Bucket(filled).object_versions.delete()
    assert "Contents" not in s3.list_objects_v2(Bucket=filled)
