"""Buckets through boto3."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from darkroom.services.s3.buckets import valid_name
from darkroom.testing.live_s3 import ACCOUNT
from tests.services.s3.refusals import refusal, refused


def test_a_bucket_is_listed_with_its_date(s3: Any, bucket: str) -> None:
    found = {item["Name"]: item for item in s3.list_buckets()["Buckets"]}
    assert abs((datetime.now(UTC) - found[bucket]["CreationDate"]).total_seconds()) < 60
    assert len(s3.list_buckets()["Owner"]["ID"]) == 64


def test_buckets_come_in_pages(s3: Any, bucket: str) -> None:
    first = s3.list_buckets(MaxBuckets=1, Prefix=bucket)
    assert [item["Name"] for item in first["Buckets"]] == [bucket]
    pages = s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1})
    assert [b["Name"] for page in pages for b in page["Buckets"]] == [b["Name"] for b in s3.list_buckets()["Buckets"]]


def test_head_bucket_tells_here_or_not(s3: Any, bucket: str) -> None:
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert refused(s3.head_bucket, Bucket="no-such-bucket-here") == ("404", 404)


def test_another_account_is_refused(s3: Any, bucket: str) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=ACCOUNT)
    assert refused(s3.head_bucket, Bucket=bucket, ExpectedBucketOwner="999999999999") == ("403", 403)
    assert refused(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="999999999999") == ("AccessDenied", 403)


def test_making_ones_own_bucket_again(s3: Any, client: Callable[..., Any], bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    elsewhere = client(region_name="eu-west-1")
    where = {"LocationConstraint": "eu-west-1"}
    error = refusal(elsewhere.create_bucket, Bucket=bucket, CreateBucketConfiguration=where)["Error"]
    assert (error["Code"], error["BucketName"]) == ("BucketAlreadyOwnedByYou", bucket)


def test_a_bucket_is_where_it_was_made(s3: Any, client: Callable[..., Any], bucket: str) -> None:
    name = f"{bucket}-eu"
    client(region_name="eu-west-1").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "eu-west-1"


@pytest.mark.parametrize("name", ["abc", "sagemaker-us-east-1-000000000000", "a.b-c", "1ab", "a" * 63])
def test_names_that_are_taken(name: str) -> None:
    assert valid_name(name)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Photos", "-abc", "abc-", "a_b", "a..b", "192.168.1.1", "xn--abc", "abc-s3alias", ".abc", "é" * 5],
)
def test_names_that_are_not(name: str) -> None:
    assert not valid_name(name)


def test_a_wrong_name_is_said(s3: Any) -> None:
    error = refusal(s3.create_bucket, Bucket="Photos_Of_Cats")
    assert error["Error"] == {
        "Code": "InvalidBucketName",
        "Message": "The specified bucket is not valid.",
        "BucketName": "Photos_Of_Cats",
    } | {k: v for k, v in error["Error"].items() if k in ("RequestId", "HostId")}


def test_only_an_empty_bucket_is_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    error = refusal(s3.delete_bucket, Bucket=bucket)
    assert (error["Error"]["Code"], error["Error"]["BucketName"]) == ("BucketNotEmpty", bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert refused(s3.delete_bucket, Bucket=bucket) == ("NoSuchBucket", 404)


def test_documents_of_a_bucket(s3: Any, bucket: str) -> None:
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    tags = [{"Key": "team", "Value": "birds"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert [(grant["Grantee"]["Type"], grant["Permission"]) for grant in grants] == [("CanonicalUser", "FULL_CONTROL")]


def test_operations_that_are_not_offered_say_so(s3: Any, bucket: str) -> None:
    assert refused(s3.get_bucket_website, Bucket=bucket) == ("NotImplemented", 501)
