"""What an object remembers besides its bytes: headers, user metadata, checksums and tags, in and out of params.

A head is fit for JSON, so ``Expires`` travels as text.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from darkroom.objects.checksums import ALGORITHMS
from darkroom.services.s3.faults import invalid_argument
from darkroom.wire.messages import ServiceError

PLAIN = (
    *("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType"),
    "WebsiteRedirectLocation",
)
CHECKSUM_MEMBERS = {f"Checksum{name}": name for name in ALGORITHMS}
DEFAULT_TYPE = "binary/octet-stream"
MAX_METADATA_BYTES = 2048
MAX_TAGS, MAX_TAG_KEY, MAX_TAG_VALUE = 10, 128, 256
OVERRIDES = {  # of a signed GET, from its query string
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


def head_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The head that a request gives its object. Raises ServiceError: MetadataTooLarge."""
    head: dict[str, Any] = {name: params[name] for name in PLAIN if params.get(name)}
    head["ContentType"] = head.get("ContentType", DEFAULT_TYPE)
    encodings = [item.strip() for item in head.pop("ContentEncoding", "").split(",")]
    if kept := [item for item in encodings if item and item.lower() != "aws-chunked"]:
        head["ContentEncoding"] = ",".join(kept)
    if expires := params.get("Expires"):
        head["Expires"] = expires.isoformat() if isinstance(expires, datetime) else str(expires)
    if metadata := {name.lower(): value for name, value in (params.get("Metadata") or {}).items()}:
        size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
        if size > MAX_METADATA_BYTES:
            text = "Your metadata headers exceed the maximum allowed metadata size"
            raise ServiceError("MetadataTooLarge", text, Size=size, MaxSizeAllowed=MAX_METADATA_BYTES)
        head["Metadata"] = metadata
    return head


def members_of(head: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The result members of a stored head, without its checksums."""
    members = {name: head[name] for name in (*PLAIN, "Metadata") if name in head}
    if "Expires" in head:
        members["Expires"] = datetime.fromisoformat(head["Expires"])
    given = overrides or {}
    return members | {name: given[param] for param, name in OVERRIDES.items() if given.get(param)}


def checksums_of(head: Mapping[str, Any]) -> dict[str, str]:
    return {name: head[name] for name in (*CHECKSUM_MEMBERS, "ChecksumType") if name in head}


def tags_of_header(header: str | None) -> dict[str, str]:
    """Tags of x-amz-tagging: a query string."""
    if not header:
        return {}
    pairs = parse_qsl(header, keep_blank_values=True)
    if len(dict(pairs)) != len(pairs):
        text = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without "
        raise invalid_argument(text + "tag name duplicates.", "x-amz-tagging", header)
    return checked_tags(pairs)


def tags_of_set(tag_set: list[dict[str, str]]) -> dict[str, str]:
    pairs = [(tag["Key"], tag["Value"]) for tag in tag_set]
    if len(dict(pairs)) != len(pairs):
        raise ServiceError("InvalidTag", "Cannot provide multiple Tags with the same key")
    return checked_tags(pairs)


def checked_tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    if len(pairs) > MAX_TAGS:
        raise ServiceError("BadRequest", f"Object tags cannot be greater than {MAX_TAGS}")
    for key, value in pairs:
        if not 1 <= len(key) <= MAX_TAG_KEY or key.lower().startswith("aws:"):
            raise ServiceError("InvalidTag", "The TagKey you have provided is invalid", TagKey=key)
        if len(value) > MAX_TAG_VALUE:
            raise ServiceError("InvalidTag", "The TagValue you have provided is invalid", TagKey=key, TagValue=value)
    return dict(pairs)


def tag_set(tags: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}
