"""Our values as parameters of an S3 client, and its answers as our values. Pure."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from darkroom.objects.base import Condition, Listing, Object, Part
from darkroom.objects.checksums import ALGORITHMS

SENT = (
    *("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType"),
    *("Expires", "Metadata", "WebsiteRedirectLocation"),
)
CHECKSUMS = tuple(f"Checksum{name}" for name in ALGORITHMS)
Members = dict[str, Any]


def head_params(head: Mapping[str, Any], checksums: bool = True) -> Members:
    names = SENT + CHECKSUMS if checksums else SENT
    return {name: head[name] for name in names if name in head}


def upload_params(head: Mapping[str, Any]) -> Members:
    names = (*SENT, "ChecksumAlgorithm", "ChecksumType")
    return {name: head[name] for name in names if name in head}


def checksum_params(checksums: Mapping[str, bytes]) -> dict[str, str]:
    return {f"Checksum{name}": base64.b64encode(value).decode() for name, value in checksums.items()}


def condition_params(condition: Condition) -> dict[str, str]:
    params = {"IfNoneMatch": "*"} if condition.absent else {}
    return params | ({"IfMatch": condition.etag} if condition.etag is not None else {})


def object_of(bucket: str, key: str, found: Members) -> Object:
    """From the answer to HeadObject."""
    head = {name: found[name] for name in (*SENT, *CHECKSUMS, "ChecksumType") if found.get(name)}
    if isinstance(head.get("Expires"), datetime):
        head["Expires"] = head["Expires"].isoformat()
    return Object(
        bucket,
        key,
        found["ContentLength"],
        found["ETag"].strip('"'),
        found["LastModified"],
        head,
        tag_count=found.get("TagCount", 0),
    )


def listed(bucket: str, page: Members) -> Listing:
    """From the answer to ListObjectsV2."""
    objects = [
        Object(bucket, item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])
        for item in page.get("Contents", ())
    ]
    prefixes = [item["Prefix"] for item in page.get("CommonPrefixes", ())]
    last = max([*(item.key for item in objects[-1:]), *prefixes[-1:]], key=str.encode, default=None)
    return Listing(objects, prefixes, last if page.get("IsTruncated") else None)


def part_of(item: Members) -> Part:
    """From an entry of ListParts."""
    checksums = {name: base64.b64decode(item[f"Checksum{name}"]) for name in ALGORITHMS if item.get(f"Checksum{name}")}
    return Part(item["PartNumber"], item["Size"], item["ETag"].strip('"'), item["LastModified"], checksums)
