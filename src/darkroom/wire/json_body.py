"""JSON bodies by shape, read leniently where real clients need it: unknown members dropped, null means absent."""

import json
from typing import Any

from botocore.model import Shape

from darkroom.wire.models import body_members
from darkroom.wire.scalars import Malformed, decode_base64, decode_timestamp, encode_base64, encode_timestamp, in_range

MAX_DEPTH = 100
TOKENS = {  # as AWS's parser calls them
    str: "STRING_VALUE",
    bool: "BOOLEAN_VALUE",
    int: "NUMBER_VALUE",
    float: "NUMBER_VALUE",
    dict: "START_OBJECT",
    list: "START_ARRAY",
}


def loads(body: bytes) -> Any:
    """Any JSON value; an empty body is an empty structure. Raises Malformed."""
    if not body or body.isspace():
        return {}
    try:
        return json.loads(body)
    except RecursionError:
        raise Malformed("the JSON is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"the body is not valid JSON: {error}") from None


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def decode(shape: Shape, value: Any, depth: int = 0) -> Any:
    """The value of a shape. Raises Malformed, naming the member and what was found there."""
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, value, depth + 1)
    if kind == "list":
        if not isinstance(value, list):
            raise Malformed(_mismatch(value, "list"))
        return [decode(shape.member, item, depth + 1) for item in value if item is not None]
    if kind == "map":
        if not isinstance(value, dict):
            raise Malformed(_mismatch(value, "map"))
        return {_text(key): decode(shape.value, item, depth + 1) for key, item in value.items() if item is not None}
    return _scalar(kind, value)


def _structure(shape: Shape, value: Any, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise Malformed(f"the JSON is nested more than {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        raise Malformed(_mismatch(value, "structure"))
    members, found = body_members(shape), {}
    for key, item in value.items():
        if item is None or key not in members:
            continue
        name, member = members[key]
        try:
            found[name] = decode(member, item, depth)
        except Malformed as fault:
            raise fault.within(name) from None
    return found


def _scalar(kind: str, value: Any) -> Any:
    if kind == "string" and isinstance(value, str):
        return _text(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "timestamp":
        return decode_timestamp(value)
    if kind == "blob" and isinstance(value, str):
        return decode_base64(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if kind in ("float", "double"):
            return float(value)
        if kind in ("integer", "long") and value == value // 1:
            return in_range(kind, int(value))
    if kind in ("float", "double") and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise Malformed(_mismatch(value, kind))


def _text(value: str) -> str:
    """Refuses lone surrogates, which JSON can spell and nothing can store."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Malformed("the text holds half of a surrogate pair") from None
    return value


def _mismatch(value: Any, kind: str) -> str:
    found = TOKENS.get(type(value), "VALUE_NULL")
    if kind in ("structure", "map", "list"):
        return f"Expected {kind} or null, found {found}"
    return f"{found} can not be converted to {'an' if kind[0] in 'aeiou' else 'a'} {kind.capitalize()}"


def encode(shape: Shape, value: Any) -> Any:
    """JSON-ready form of a result; members that the shape does not know, or that are None, are left out."""
    kind = shape.type_name
    if kind == "structure":
        return {name: encode(s, value[m]) for name, (m, s) in body_members(shape).items() if value.get(m) is not None}
    if kind == "list":
        return [encode(shape.member, item) for item in value]
    if kind == "map":
        return {key: encode(shape.value, item) for key, item in value.items()}
    if kind == "timestamp":
        return encode_timestamp(shape, value, "unixtimestamp")
    if kind == "blob":
        return encode_base64(value)
    return value
