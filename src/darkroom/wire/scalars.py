"""Single values as text and back: numbers, booleans, timestamps, base64. Knows shapes' types, and no protocol."""

import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from botocore.model import Shape


class Malformed(ValueError):
    """What was sent cannot be read as the type the model asks for. Each protocol has its own error code for it."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(f"{text} at '{path}'" if path else text)
        self.text, self.path = text, path

    def within(self, member: str) -> "Malformed":
        """The same fault, seen from the structure around it."""
        return Malformed(self.text, f"{member}.{self.path}" if self.path else member)


RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
BOOLEANS = {"true": True, "false": False}


def decode_text(shape: Shape, text: str) -> Any:
    """A value from XML, a form, a header, a path or a query string. Raises Malformed."""
    kind = shape.type_name
    if kind == "string":
        return text
    try:
        if kind in RANGES:
            return in_range(kind, int(text))
        if kind == "boolean":
            return BOOLEANS[text.strip().lower()]
        if kind in ("float", "double"):
            return float(text)
        if kind == "timestamp":
            return decode_timestamp(text)
        if kind == "blob":
            return decode_base64(text)
    except (ValueError, KeyError):
        raise Malformed(f"{text[:100]!r} can not be converted to {_article(kind)}") from None
    return text


def encode_text(shape: Shape, value: Any, timestamps: str) -> str:
    """``timestamps`` is the format where the shape names none: "iso8601", "rfc822" or "unixtimestamp"."""
    kind = shape.type_name
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return str(encode_timestamp(shape, value, timestamps))
    if kind == "blob":
        return encode_base64(value)
    return str(value)


def in_range(kind: str, value: int) -> int:
    low, high = RANGES[kind]
    if not low <= value <= high:
        raise Malformed(f"{value} is out of range for {_article(kind)}")
    return value


def decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"{text[:100]!r} is not base64") from None


def encode_base64(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def decode_timestamp(value: Any) -> datetime:
    """An aware datetime from epoch seconds, ISO 8601 or an HTTP date; clients mix them. Raises Malformed."""
    try:
        if isinstance(value, str):
            return _from_text(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        pass
    raise Malformed(f"{str(value)[:100]!r} can not be converted to a Timestamp")


def _from_text(text: str) -> datetime:
    if text[:1].isalpha():
        moment = parsedate_to_datetime(text)
    elif text.replace(".", "", 1).lstrip("-").isdigit() and not (len(text) == 8 and "." not in text):
        return datetime.fromtimestamp(float(text), UTC)
    else:
        moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def encode_timestamp(shape: Shape, value: datetime, default: str) -> str | float:
    style = shape.serialization.get("timestampFormat", default)
    moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if style == "unixtimestamp":
        return round(moment.timestamp(), 3)
    if style == "rfc822":
        return format_datetime(moment, usegmt=True)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _article(kind: str) -> str:
    return f"an {kind.capitalize()}" if kind[0] in "aeiou" else f"a {kind.capitalize()}"
