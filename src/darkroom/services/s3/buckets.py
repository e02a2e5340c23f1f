"""Operations on buckets and their documents: policy, public access block, tagging."""

import json
import re
from ipaddress import IPv4Address
from typing import Any
from xml.sax.saxutils import escape

from darkroom.errors import Conflict, Invalid
from darkroom.services.s3 import policy
from darkroom.services.s3.access import block_of
from darkroom.services.s3.faults import access_denied
from darkroom.services.s3.heads import tag_set
from darkroom.services.s3.objects import owner_has_all
from darkroom.services.s3.part import S3Part
from darkroom.wire.messages import Call, Response, ServiceError
from darkroom.wire.operations import Operations

operation = Operations("s3")
Members = dict[str, Any]
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
US_EAST_1 = "us-east-1"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def valid_name(name: str) -> bool:
    """S3's rules for new buckets."""
    if not NAME.fullmatch(name) or ".." in name:
        return False
    try:
        IPv4Address(name)
        return False
    except ValueError:
        return not name.startswith(RESERVED_STARTS) and not name.endswith(RESERVED_ENDS)


@operation
def create_bucket(part: S3Part, call: Call) -> Members:
    """Making one's own bucket again is no error in us-east-1, as S3 has it, and is one elsewhere."""
    name = call.params["Bucket"]
    if not valid_name(name):
        raise ServiceError("InvalidBucketName", "The specified bucket is not valid.", BucketName=name)
    wanted = (call.params.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    try:
        part.store.create_bucket(name)
    except Conflict:
        if call.caller.region != US_EAST_1:
            text = "Your previous request to create the named bucket succeeded and you already own it."
            raise ServiceError("BucketAlreadyOwnedByYou", text, 409, BucketName=name) from None
    else:
        if wanted and wanted != US_EAST_1:
            part.store.set_document(name, "location", json.dumps(wanted))
    return {"Location": f"/{name}"}


def region_of(part: S3Part, bucket: str) -> str:
    text = part.store.document(bucket, "location")
    return str(json.loads(text)) if text else US_EAST_1


@operation
def head_bucket(part: S3Part, call: Call) -> Members:
    return {"BucketRegion": region_of(part, call.params["Bucket"])}


@operation
def get_bucket_location(part: S3Part, call: Call) -> Response:
    """The one answer whose root holds the text itself, which the model does not tell."""
    region = region_of(part, call.params["Bucket"])
    text = "" if region == US_EAST_1 else escape(region)
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="{NAMESPACE}">{text}</LocationConstraint>'
    )
    return Response(200, {"content-type": "application/xml"}, body.encode())


@operation
def delete_bucket(part: S3Part, call: Call) -> None:
    part.store.delete_bucket(call.params["Bucket"])


@operation
def get_bucket_versioning(part: S3Part, call: Call) -> Members:
    part.store.bucket(call.params["Bucket"])
    return {}


@operation
def get_bucket_acl(part: S3Part, call: Call) -> Members:
    part.store.bucket(call.params["Bucket"])
    return owner_has_all(part)


# Policy -------------------------------------------------------------------------------------------------------


@operation
def put_bucket_policy(part: S3Part, call: Call) -> None:
    bucket, text = call.params["Bucket"], call.params["Policy"]
    part.store.bucket(bucket)
    try:
        parsed = policy.parse(text, bucket)
    except Invalid as error:
        raise ServiceError("MalformedPolicy", str(error)) from None
    if parsed.is_public and block_of(part.store, bucket)["BlockPublicPolicy"]:
        raise access_denied(
            f"The policy makes bucket {bucket} public, and its public access block forbids that (BlockPublicPolicy). "
            "Remove the block first: DeletePublicAccessBlock."
        )
    part.store.set_document(bucket, "policy", text)


@operation
def get_bucket_policy(part: S3Part, call: Call) -> Members:
    return {"Policy": _policy(part, call)}


@operation
def delete_bucket_policy(part: S3Part, call: Call) -> None:
    part.store.set_document(call.params["Bucket"], "policy", None)


@operation
def get_bucket_policy_status(part: S3Part, call: Call) -> Members:
    bucket = call.params["Bucket"]
    return {"PolicyStatus": {"IsPublic": policy.parse(_policy(part, call), bucket).is_public}}


def _policy(part: S3Part, call: Call) -> str:
    bucket = call.params["Bucket"]
    if (text := part.store.document(bucket, "policy")) is None:
        raise ServiceError("NoSuchBucketPolicy", "The bucket policy does not exist", 404, BucketName=bucket)
    return text


# Public access block ------------------------------------------------------------------------------------------


@operation
def put_public_access_block(part: S3Part, call: Call) -> None:
    settings = {name: bool(value) for name, value in call.params["PublicAccessBlockConfiguration"].items()}
    part.store.set_document(call.params["Bucket"], "public-access-block", json.dumps(settings))


@operation
def get_public_access_block(part: S3Part, call: Call) -> Members:
    bucket = call.params["Bucket"]
    if part.store.document(bucket, "public-access-block") is None:
        text = "The public access block configuration was not found"
        raise ServiceError("NoSuchPublicAccessBlockConfiguration", text, 404, BucketName=bucket)
    return {"PublicAccessBlockConfiguration": block_of(part.store, bucket)}


@operation
def delete_public_access_block(part: S3Part, call: Call) -> None:
    part.store.set_document(call.params["Bucket"], "public-access-block", None)


# Tagging ------------------------------------------------------------------------------------------------------


@operation
def put_bucket_tagging(part: S3Part, call: Call) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in call.params["Tagging"]["TagSet"]}
    if len(tags) != len(call.params["Tagging"]["TagSet"]):
        raise ServiceError("InvalidTag", "Cannot provide multiple Tags with the same key")
    part.store.set_document(call.params["Bucket"], "tagging", json.dumps(tags))


@operation
def get_bucket_tagging(part: S3Part, call: Call) -> Members:
    bucket = call.params["Bucket"]
    if (text := part.store.document(bucket, "tagging")) is None:
        raise ServiceError("NoSuchTagSet", "The TagSet does not exist", 404, BucketName=bucket)
    return tag_set(json.loads(text))


@operation
def delete_bucket_tagging(part: S3Part, call: Call) -> None:
    part.store.set_document(call.params["Bucket"], "tagging", None)
