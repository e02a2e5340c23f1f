"""Checks parameters against the constraints of the model, in AWS's wording.

Says what is wrong, not which error code a service gives it. Knows nothing that the model does not say.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.model import Shape

MAX_SHOWN = 1024  # characters of an offending value that are repeated
SIZED = frozenset({"string", "list", "map", "blob"})
NUMBERS = frozenset({"integer", "long", "float", "double"})
# What Java's regular expressions say inside brackets and Python's do not; letters are taken generously.
JAVA_CLASSES = {
    r"\p{L}": r"A-Za-z\u00AA-\uFFDC",
    r"\p{Z}": r"\s\u00A0",
    r"\p{Zs}": r" \u00A0",
    r"\p{N}": r"\d",
    r"\p{M}": r"\u0300-\u036F",
    r"\p{S}": r"$+<=>^`|~\u00A2-\u00B4",
    r"\p{P}": r"!-#%-*,-/:;?@\[-\]_{}\u00A1-\u00BF",
    r"\p{Print}": r" -~",
    r"\p{Alnum}": r"A-Za-z0-9",
    r"\p{ASCII}": r"\x00-\x7F",
}
JAVA_SYNTAX = {r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF", r"\z": r"\Z", r"\w-": r"\w\-"}


def validate(shape: Shape | None, params: dict[str, Any]) -> str | None:
    """What is wrong with the parameters, all of it in one sentence; None where nothing is."""
    faults = list(_structure(shape, params, "")) if shape is not None else []
    if not faults:
        return None
    return f"{len(faults)} validation error{'s' * (len(faults) > 1)} detected: " + "; ".join(faults)


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure(shape, value, path)
        return
    yield from (_fault(value, path, broken) for broken in _broken(shape, value))
    if kind == "list":
        yield from _list(shape, value, path)
    elif kind == "map":
        yield from _map(shape, value, path)


def _structure(shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    for member in shape.required_members:
        if value.get(member) is None:
            yield f"Value null at '{_below(path, member)}' failed to satisfy constraint: Member must not be null"
    payload = shape.serialization.get("payload")
    for member, item in value.items():
        if member == payload and shape.members[member].type_name == "blob":
            continue  # held to the service's own limit when it was read
        if item is not None and member in shape.members:
            yield from _faults(shape.members[member], item, _below(path, member))


def _list(shape: Shape, value: list[Any], path: str) -> Iterator[str]:
    if shape.member.type_name in ("structure", "list", "map"):
        for number, item in enumerate(value, 1):
            yield from _faults(shape.member, item, f"{path}.{number}.member")
    elif any(_broken(shape.member, item) for item in value):
        yield _fault(value, path, f"Member must satisfy constraint: [{', '.join(_constraints(shape.member))}]")


def _map(shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    if any(_broken(shape.key, key) for key in value):
        yield _fault(value, path, f"Map keys must satisfy constraint: [{', '.join(_constraints(shape.key))}]")
    if shape.value.type_name in ("structure", "list", "map"):
        for key, item in value.items():
            yield from _faults(shape.value, item, f"{path}.{key}.member")
    elif any(_broken(shape.value, item) for item in value.values()):
        yield _fault(value, path, f"Map value must satisfy constraint: [{', '.join(_constraints(shape.value))}]")


def _broken(shape: Shape, value: Any) -> list[str]:
    """The shape's own constraints that a value does not satisfy."""
    meta, kind = shape.metadata, shape.type_name
    if kind in NUMBERS:
        low, high = meta.get("min"), meta.get("max")
        too_low = [f"Member must have value greater than or equal to {low}"] if low is not None and value < low else []
        too_high = [f"Member must have value less than or equal to {high}"] if high is not None and value > high else []
        return too_low + too_high
    if kind not in SIZED or not hasattr(value, "__len__"):
        return []
    low, high = meta.get("min"), meta.get("max")
    if high is not None and len(value) > high:  # and nothing else: a pattern on an overlong text may take for ever
        return [f"Member must have length less than or equal to {high}"]
    broken = []
    if low is not None and len(value) < low:
        broken.append(f"Member must have length greater than or equal to {low}")
    if kind == "string":
        if (enum := meta.get("enum")) and value not in enum:
            broken.append(f"Member must satisfy enum value set: [{', '.join(enum)}]")
        if (pattern := meta.get("pattern")) and not matches(pattern, value):
            broken.append(f"Member must satisfy regular expression pattern: {pattern}")
    return broken


def _constraints(shape: Shape) -> list[str]:
    """Every constraint of a simple shape, broken or not: AWS lists them all for members of lists and maps."""
    meta = shape.metadata
    noun = "value" if shape.type_name in NUMBERS else "length"
    texts = {
        "max": f"Member must have {noun} less than or equal to {meta.get('max')}",
        "min": f"Member must have {noun} greater than or equal to {meta.get('min')}",
        "pattern": f"Member must satisfy regular expression pattern: {meta.get('pattern')}",
        "enum": f"Member must satisfy enum value set: [{', '.join(meta.get('enum', ()))}]",
    }
    return [text for name, text in texts.items() if meta.get(name)]


def _fault(value: Any, path: str, constraint: str) -> str:
    return f"Value '{_shown(value)[:MAX_SHOWN]}' at '{path}' failed to satisfy constraint: {constraint}"


def _shown(value: Any) -> str:
    """A value as Java prints it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={_shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _below(path: str, member: str) -> str:
    name = member[0].lower() + member[1:]
    return f"{path}.{name}" if path else name


def matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """None for a pattern that Python can not read: better unchecked than refused."""
    for java, python in JAVA_SYNTAX.items():
        pattern = pattern.replace(java, python)
    for java, python in JAVA_CLASSES.items():
        pattern = re.sub(rf"(\[[^\]]*){re.escape(java)}", lambda m, p=python: m[1] + p, pattern)  # type: ignore[misc]
        pattern = pattern.replace(java, f"[{python}]")
    try:
        return re.compile(pattern)
    except re.error:
        return None
