"""Listings of buckets, objects, versions and uploads: pages and their markers."""

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from darkroom.objects.base import Listing, Object, Upload
from darkroom.objects.listing import common_prefix
from darkroom.services.s3.conditions import quoted
from darkroom.services.s3.faults import invalid_argument
from darkroom.services.s3.part import S3Part
from darkroom.wire.messages import Call
from darkroom.wire.operations import Operations

operation = Operations("s3")
Members = dict[str, Any]
PAGE = 1000


@operation
def list_buckets(part: S3Part, call: Call) -> Members:
    prefix, after = call.params.get("Prefix", ""), call.params.get("ContinuationToken", "")
    limit = call.params.get("MaxBuckets") or 10_000
    found = [b for b in part.store.buckets() if b.name.startswith(prefix) and b.name > after]
    members: Members = {
        "Buckets": [{"Name": b.name, "CreationDate": b.created} for b in found[:limit]],
        "Owner": part.owner,
    }
    return members | ({"ContinuationToken": found[limit - 1].name} if len(found) > limit else {})


@operation
def list_objects_v2(part: S3Part, call: Call) -> Members:
    params = call.params
    token = params.get("ContinuationToken")
    after = params.get("StartAfter", "") if token is None else _token_key(token)
    limit = _limit(params, "MaxKeys")
    page = _page(part, params, after, limit)
    encode = _encoder(params)
    members = _page_members(params, page, limit, encode) | {
        "Contents": [_entry(item, encode) | _owner(part, params) for item in page.objects],
        "KeyCount": len(page.objects) + len(page.prefixes),
        "ContinuationToken": token,
        "StartAfter": encode(params["StartAfter"]) if "StartAfter" in params else None,
    }
    return members | ({"NextContinuationToken": _token(page.next)} if page.next is not None else {})


@operation
def list_objects(part: S3Part, call: Call) -> Members:
    params = call.params
    limit = _limit(params, "MaxKeys")
    page = _page(part, params, params.get("Marker", ""), limit)
    encode = _encoder(params)
    members = _page_members(params, page, limit, encode) | {
        "Contents": [_entry(item, encode) | {"Owner": part.owner} for item in page.objects],
        "Marker": encode(params.get("Marker", "")),
    }
    # As S3 does: without a delimiter the last key is the marker, and clients know.
    return members | ({"NextMarker": encode(page.next)} if page.next is not None and params.get("Delimiter") else {})


@operation
def list_object_versions(part: S3Part, call: Call) -> Members:
    """Every object is its one version: clean-up scripts ask for versions and delete each."""
    params = call.params
    limit = _limit(params, "MaxKeys")
    page = _page(part, params, params.get("KeyMarker", ""), limit)
    encode = _encoder(params)
    only = {"VersionId": "null", "IsLatest": True, "Owner": part.owner}
    members = _page_members(params, page, limit, encode) | {
        "Versions": [_entry(item, encode) | only for item in page.objects],
        "KeyMarker": encode(params.get("KeyMarker", "")),
        "VersionIdMarker": params.get("VersionIdMarker", ""),
    }
    more = {"NextKeyMarker": encode(page.next), "NextVersionIdMarker": "null"} if page.next is not None else {}
    return members | more


def _page(part: S3Part, params: Members, after: str, limit: int) -> Listing:
    prefix, delimiter = params.get("Prefix", ""), params.get("Delimiter", "")
    return part.store.list(params["Bucket"], prefix, delimiter, after, limit)


def _page_members(params: Members, page: Listing, limit: int, encode: Callable[[str], str]) -> Members:
    return {
        "Name": params["Bucket"],
        "Prefix": encode(params.get("Prefix", "")),
        "Delimiter": encode(params["Delimiter"]) if params.get("Delimiter") else None,
        "MaxKeys": limit,
        "IsTruncated": page.next is not None,
        "EncodingType": params.get("EncodingType"),
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.prefixes],
    }


def _entry(item: Object, encode: Callable[[str], str]) -> Members:
    return {
        "Key": encode(item.key),
        "LastModified": item.modified,
        "ETag": quoted(item.etag),
        "Size": item.size,
        "StorageClass": "STANDARD",
    }


def _owner(part: S3Part, params: Members) -> Members:
    return {"Owner": part.owner} if params.get("FetchOwner") else {}


@operation
def list_multipart_uploads(part: S3Part, call: Call) -> Members:
    params = call.params
    prefix, delimiter, limit = params.get("Prefix", ""), params.get("Delimiter", ""), _limit(params, "MaxUploads")
    key_marker, id_marker = params.get("KeyMarker", ""), params.get("UploadIdMarker", "")
    uploads = _after(part.store.uploads(params["Bucket"], prefix), key_marker, id_marker)
    single = [upload for upload in uploads if common_prefix(upload.key, prefix, delimiter) is None]
    common = {common_prefix(upload.key, prefix, delimiter) for upload in uploads} - {None}
    shown, encode = single[:limit], _encoder(params)
    members = {
        "Bucket": params["Bucket"],
        "Prefix": encode(prefix),
        "Delimiter": encode(delimiter) if delimiter else None,
        "KeyMarker": encode(key_marker),
        "UploadIdMarker": id_marker,
        "MaxUploads": limit,
        "IsTruncated": len(single) > limit,
        "EncodingType": params.get("EncodingType"),
        "Uploads": [_upload(part, upload, encode) for upload in shown],
        "CommonPrefixes": [{"Prefix": encode(text)} for text in sorted(filter(None, common))],
    }
    if len(single) > limit and shown:
        members |= {"NextKeyMarker": encode(shown[-1].key), "NextUploadIdMarker": shown[-1].id}
    return members


def _after(uploads: Any, key_marker: str, id_marker: str) -> list[Upload]:
    """Uploads behind the markers. The id marker only counts together with the key marker."""
    if not key_marker:
        return list(uploads)
    marker = key_marker.encode()
    at_key = [upload for upload in uploads if upload.key == key_marker] if id_marker else []
    ids = [upload.id for upload in at_key]
    rest = at_key[ids.index(id_marker) + 1 :] if id_marker in ids else at_key
    return rest + [upload for upload in uploads if upload.key.encode() > marker]


def _upload(part: S3Part, upload: Upload, encode: Callable[[str], str]) -> Members:
    return {
        "Key": encode(upload.key),
        "UploadId": upload.id,
        "Initiated": upload.created,
        "StorageClass": "STANDARD",
        "Owner": part.owner,
        "Initiator": part.owner,
        "ChecksumAlgorithm": upload.head.get("ChecksumAlgorithm"),
        "ChecksumType": upload.head.get("ChecksumType"),
    }


def _limit(params: Members, name: str) -> int:
    value: int = params.get(name, PAGE)
    if value < 0:
        raise invalid_argument(f"Argument {name} must be an integer between 0 and 2147483647", name, str(value))
    return min(value, PAGE)


def _encoder(params: Members) -> Callable[[str], str]:
    """Percent-encoding where the client asked for it, so that keys may hold what XML cannot."""
    return (lambda text: quote(text, safe="/")) if params.get("EncodingType") == "url" else (lambda text: text)


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _token_key(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        raise invalid_argument("The continuation token provided is incorrect", "continuation-token", token) from None
