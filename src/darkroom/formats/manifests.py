"""The two files of SageMaker that name objects: a manifest (a prefix and what follows it), and an augmented manifest
(a JSON object a line, whose attributes ending in ``-ref`` name objects). [S3DataSource of the SageMaker API]

Pure: text in, names out. Whether the objects are there is not asked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

REF = "-ref"  # how the attributes that name objects end
SHOWN = 60  # characters of a value in a message


class ManifestError(ValueError):
    """The file cannot be read as what it should be; the message says where, and what to write."""


@dataclass(frozen=True)
class Manifest:
    """``names`` follow ``prefix`` in one bucket: their objects are ``prefix + name``."""

    bucket: str
    prefix: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Ref:
    """An object that a line of an augmented manifest names."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse_manifest(text: str | bytes) -> Manifest:
    """``[{"prefix": "s3://bucket/folder/"}, "a.jpg", "b.jpg"]``. Raises ManifestError."""
    like = 'write [{"prefix": "s3://bucket/folder/"}, "a.jpg", "b.jpg"]'
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"it is not JSON ({error}); {like}") from None
    if not isinstance(given, list) or not given or not isinstance(given[0], dict) or set(given[0]) != {"prefix"}:
        raise ManifestError(f"it does not begin with its prefix; {like}")
    bucket, prefix = _location(given[0]["prefix"], "its prefix")
    names = given[1:]
    if not names:
        raise ManifestError(f"it names no object after its prefix; {like}")
    for place, name in enumerate(names, 2):
        if not isinstance(name, str) or not prefix + name:
            raise ManifestError(f"its element {place}, {_shown(name)}, does not name an object; {like}")
    return Manifest(bucket, prefix, tuple(names))


def parse_line(line: str | bytes, attributes: Sequence[str]) -> tuple[Ref | str, ...]:
    """What one line of an augmented manifest says of each attribute, in order: an object, or the value as text.

    Text stays as it is; any other value becomes its JSON. Raises ManifestError.
    """
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"it is not JSON ({error}); an augmented manifest has one JSON object a line") from None
    if not isinstance(given, dict):
        raise ManifestError(f"it is {_shown(given)}; an augmented manifest has one JSON object a line")
    return tuple(_value(given, name) for name in attributes)


def _value(line: dict[str, Any], name: str) -> Ref | str:
    if name not in line:
        raise ManifestError(f"it has no attribute {name!r}, which AttributeNames asks for; it has {', '.join(line)}")
    value = line[name]
    if name.endswith(REF):
        return Ref(*_location(value, f"its attribute {name!r}", key=True))
    return value if isinstance(value, str) else json.dumps(value)


def _location(url: Any, what: str, key: bool = False) -> tuple[str, str]:
    scheme, found, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    bucket, _, name = rest.partition("/")
    if scheme != "s3" or not found or not bucket or (key and not name):
        raise ManifestError(f"{what} is {_shown(url)}, not an S3 location such as s3://bucket/photos/a.jpg")
    return bucket, name


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
