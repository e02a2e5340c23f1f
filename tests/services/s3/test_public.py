"""What an unsigned caller gets: exactly what a bucket policy opens."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from darkroom.testing.live_s3 import LiveS3
from tests.services.s3.refusals import refusal, refused


def public_read(bucket: str, *more: dict[str, Any]) -> str:
    """The policy of the notebook that shares its .rec files."""
    statement = {
        "Sid": "AllowPublicRead",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return json.dumps({"Version": "2008-10-17", "Statement": [statement, *more]})


@pytest.fixture
def shared(s3: Any, bucket: str) -> str:
    """A bucket with one object that everyone may read."""
    s3.put_object(Bucket=bucket, Key="images/train.rec", Body=b"records")
    s3.put_bucket_policy(Bucket=bucket, Policy=public_read(bucket))
    return bucket


def test_nothing_is_public_by_itself(s3: Any, nobody: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"private")
    assert refused(nobody.get_object, Bucket=bucket, Key="k") == ("AccessDenied", 403)
    assert refused(nobody.list_objects_v2, Bucket=bucket) == ("AccessDenied", 403)
    assert refused(nobody.list_buckets) == ("AccessDenied", 403)
    assert refused(nobody.head_object, Bucket=bucket, Key="k") == ("403", 403)


def test_a_policy_alone_is_enough_to_share(server: LiveS3, shared: str, nobody: Any) -> None:
    with urllib.request.urlopen(f"{server.url}/{shared}/images/train.rec") as answer:
        assert answer.read() == b"records"
    assert nobody.head_object(Bucket=shared, Key="images/train.rec")["ContentLength"] == 7


def test_only_what_is_granted_is_open(shared: str, nobody: Any) -> None:
    for call in (nobody.list_objects_v2, nobody.list_objects, nobody.get_bucket_policy, nobody.delete_bucket):
        assert refused(call, Bucket=shared) == ("AccessDenied", 403)
    for call in (nobody.put_object, nobody.delete_object, nobody.get_object_tagging):
        assert refused(call, Bucket=shared, Key="images/train.rec") == ("AccessDenied", 403)


def test_writing_is_never_open(s3: Any, nobody: Any, bucket: str) -> None:
    everything = {"Effect": "Allow", "Principal": "*", "Action": "*"}
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy = {"Version": "2012-10-17", "Statement": everything | {"Resource": resources}}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert "Contents" not in nobody.list_objects_v2(Bucket=bucket)
    assert refused(nobody.put_object, Bucket=bucket, Key="k", Body=b"x") == ("AccessDenied", 403)
    assert refused(nobody.delete_bucket_policy, Bucket=bucket) == ("AccessDenied", 403)


def test_who_may_not_list_is_not_told_what_is_missing(s3: Any, nobody: Any, shared: str) -> None:
    assert refused(nobody.get_object, Bucket=shared, Key="nope") == ("AccessDenied", 403)
    lists = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{shared}"}
    s3.put_bucket_policy(Bucket=shared, Policy=public_read(shared, lists))
    assert refused(nobody.get_object, Bucket=shared, Key="nope") == ("NoSuchKey", 404)
    assert [item["Key"] for item in nobody.list_objects_v2(Bucket=shared)["Contents"]] == ["images/train.rec"]


def test_a_missing_bucket_is_told_to_everyone(nobody: Any) -> None:
    assert refused(nobody.get_object, Bucket="no-such-bucket-here", Key="k") == ("NoSuchBucket", 404)


def test_response_headers_are_for_signed_requests(server: LiveS3, shared: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/{shared}/images/train.rec?response-content-type=text/html")
    assert (caught.value.code, b"<Code>InvalidRequest</Code>" in caught.value.read()) == (400, True)


def test_a_public_access_block_closes_what_a_policy_opened(s3: Any, nobody: Any, shared: str) -> None:
    assert refused(s3.get_public_access_block, Bucket=shared) == ("NoSuchPublicAccessBlockConfiguration", 404)
    s3.put_public_access_block(Bucket=shared, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert refused(nobody.get_object, Bucket=shared, Key="images/train.rec") == ("AccessDenied", 403)
    s3.delete_public_access_block(Bucket=shared)
    assert nobody.get_object(Bucket=shared, Key="images/train.rec")["Body"].read() == b"records"


def test_a_public_access_block_refuses_public_policies(s3: Any, bucket: str) -> None:
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block
    error = refusal(s3.put_bucket_policy, Bucket=bucket, Policy=public_read(bucket))["Error"]
    assert (error["Code"], "DeletePublicAccessBlock" in error["Message"]) == ("AccessDenied", True)


def test_a_policy_is_given_back_and_removed(s3: Any, shared: str) -> None:
    assert json.loads(s3.get_bucket_policy(Bucket=shared)["Policy"]) == json.loads(public_read(shared))
    assert s3.get_bucket_policy_status(Bucket=shared)["PolicyStatus"] == {"IsPublic": True}
    s3.delete_bucket_policy(Bucket=shared)
    assert refused(s3.get_bucket_policy, Bucket=shared) == ("NoSuchBucketPolicy", 404)
    assert refused(s3.get_bucket_policy_status, Bucket=shared) == ("NoSuchBucketPolicy", 404)


def test_a_malformed_policy_is_refused_with_the_reason(s3: Any, bucket: str) -> None:
    error = refusal(s3.put_bucket_policy, Bucket=bucket, Policy=public_read("another-bucket"))["Error"]
    assert (error["Code"], error["Message"]) == ("MalformedPolicy", "Policy has invalid resource")


def test_acls_cannot_open_anything(s3: Any, bucket: str) -> None:
    error = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ACL="public-read")["Error"]
    assert (error["Code"], "bucket policy" in error["Message"]) == ("AccessControlListNotSupported", True)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
