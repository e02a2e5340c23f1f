"""Conditional requests and ranges, as pure functions over what the client sent and what is there.

Sources: RFC 9110 sections 13 and 14, and where S3 differs, the S3 API reference (one range only, no If-Range).
"""

import re
from datetime import datetime
from typing import Any

from darkroom.objects.base import Condition, Object
from darkroom.services.s3.faults import invalid_argument, not_modified, precondition_failed
from darkroom.wire.messages import ServiceError

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"


def quoted(etag: str) -> str:
    return f'"{etag}"'


def names_etag(header: str, etag: str) -> bool:
    """Whether an If-Match or If-None-Match header names this ETag. Quotes may be missing, as some clients do."""
    return any(item.strip().removeprefix("W/").strip('"') in (etag, "*") for item in header.split(","))


def check_read(params: dict[str, Any], item: Object, prefix: str = "") -> None:
    """The conditions of a GET or HEAD, or with prefix "CopySource" those of a copy.

    Raises ServiceError: PreconditionFailed (412) or, for a read, NotModified (304).
    """
    modified = item.modified.replace(microsecond=0)
    if_match, if_none_match = params.get(f"{prefix}IfMatch"), params.get(f"{prefix}IfNoneMatch")
    since, unmodified = params.get(f"{prefix}IfModifiedSince"), params.get(f"{prefix}IfUnmodifiedSince")
    if if_match is not None:
        if not names_etag(if_match, item.etag):
            raise precondition_failed("If-Match")
    elif unmodified is not None and modified > unmodified:
        raise precondition_failed("If-Unmodified-Since")
    if if_none_match is not None:
        stale = names_etag(if_none_match, item.etag)
    else:
        stale = since is not None and modified <= since
    if stale and prefix:
        raise precondition_failed("If-None-Match" if if_none_match else "If-Modified-Since")
    if stale:
        raise not_modified({"etag": quoted(item.etag), "last-modified": http_date(modified)})


def write_condition(params: dict[str, Any]) -> Condition:
    """What must hold for a write: If-None-Match takes only "*", If-Match one ETag or "*"."""
    if (absent := params.get("IfNoneMatch")) not in (None, "*"):
        text = "A header you provided implies functionality that is not implemented"
        raise ServiceError("NotImplemented", text, 501, Header="If-None-Match", additionalMessage=absent)
    etag = params.get("IfMatch")
    return Condition(etag.strip('"') if etag is not None else None, absent == "*")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, stop) of a Range header, stop exclusive; None where the whole is to be sent.

    What cannot be read is passed over, as the RFC says. Raises ServiceError: InvalidRange (416).
    """
    found = RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = size if not first or not last else min(size, int(last) + 1)
    if start >= stop:
        raise ServiceError(
            *("InvalidRange", "The requested range is not satisfiable", 416, {"content-range": f"bytes */{size}"}),
            RangeRequested=header,
            ActualObjectSize=size,
        )
    return start, stop


def part_range(number: int, item: Object) -> tuple[int, int]:
    """(start, stop) of one part of an object; an object that was put whole has one part."""
    sizes = item.parts or (item.size,)
    if number > len(sizes):
        raise ServiceError(
            *("InvalidPartNumber", "The requested partnumber is not satisfiable", 416),
            PartNumberRequested=number,
            ActualPartCount=len(sizes),
        )
    start = sum(sizes[: number - 1])
    return start, start + sizes[number - 1]


def copy_range(header: str | None, size: int) -> tuple[int, int]:
    """(start, stop) of x-amz-copy-source-range; the whole where there is none."""
    if header is None:
        return 0, size
    found = COPY_RANGE.fullmatch(header)
    if found is None or int(found[2]) < int(found[1]):
        text = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
        raise invalid_argument(
            text + "zero-based offsets of the first and last bytes to copy", "x-amz-copy-source-range", header
        )
    if int(found[2]) >= size:
        text = f"Range specified is not valid for source object of size: {size}"
        raise invalid_argument(text, "x-amz-copy-source-range", header)
    return int(found[1]), int(found[2]) + 1


def http_date(moment: datetime) -> str:
    return moment.strftime(HTTP_DATE)
