"""Checks parameters against the constraints of the model, in AWS's wording.

Says what is wrong, not which error code a service gives it. Knows nothing that the model does not say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import Shape

MAX_SHOWN = 1024  # characters of an offending value that are repeated
SIZED = frozenset({"string", "list", "map", "blob"})
HOLDERS = frozenset({"structure", "list", "map"})
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


@dataclass(frozen=True)
class _Rule:
    """The constraints of one shape itself, not of what it holds."""

    low: float | None
    high: float | None
    enum: frozenset[str] | None
    pattern: re.Pattern[str] | None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.low, self.high, self.enum, self.pattern))


@cache
def _rule(shape: Shape) -> _Rule:
    meta, kind = shape.metadata, shape.type_name
    if kind not in SIZED | NUMBERS:
        return _Rule(None, None, None, None)
    enum = frozenset(meta["enum"]) if kind == "string" and meta.get("enum") else None
    pattern = compiled(meta["pattern"]) if kind == "string" and meta.get("pattern") else None
    return _Rule(meta.get("min"), meta.get("max"), enum, pattern)


@cache
def _constrained(shape: Shape) -> dict[str, Shape]:
    """Members of a structure that anything can be wrong with. A blob that is the whole payload is not among them:
    it is held to the service's own limit when it is read."""
    payload = shape.serialization.get("payload")
    return {
        name: member
        for name, member in shape.members.items()
        if (member.type_name in HOLDERS or _rule(member)) and not (name == payload and member.type_name == "blob")
    }


def _structure(shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    for member in shape.required_members:
        if value.get(member) is None:
            yield f"Value null at '{_below(path, member)}' failed to satisfy constraint: Member must not be null"
    constrained = _constrained(shape)
    for member, item in value.items():
        if item is None or (s := constrained.get(member)) is None:
            continue
        if s.type_name in HOLDERS:
            yield from _holder(s, item, _below(path, member))
        elif broken := _broken(s, item):
            yield from _faults(item, _below(path, member), broken)


def _holder(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        yield from _structure(shape, value, path)
        return
    yield from _faults(value, path, _broken(shape, value))
    if shape.type_name == "list":
        yield from _list(shape, value, path)
    else:
        yield from _map(shape, value, path)


def _list(shape: Shape, value: list[Any], path: str) -> Iterator[str]:
    if shape.member.type_name in HOLDERS:
        for number, item in enumerate(value, 1):
            yield from _holder(shape.member, item, f"{path}.{number}.member")
    elif any(_broken(shape.member, item) for item in value):
        yield _fault(value, path, f"Member must satisfy constraint: [{', '.join(_constraints(shape.member))}]")


def _map(shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    if any(_broken(shape.key, key) for key in value):
        yield _fault(value, path, f"Map keys must satisfy constraint: [{', '.join(_constraints(shape.key))}]")
    if shape.value.type_name in HOLDERS:
        for key, item in value.items():
            yield from _holder(shape.value, item, f"{path}.{key}.member")
    elif any(_broken(shape.value, item) for item in value.values()):
        yield _fault(value, path, f"Map value must satisfy constraint: [{', '.join(_constraints(shape.value))}]")


def _broken(shape: Shape, value: Any) -> list[str]:
    """The shape's own constraints that a value does not satisfy."""
    rule = _rule(shape)
    if shape.type_name in NUMBERS:
        return _out_of_range(rule, value)
    size = len(value) if shape.type_name in SIZED else 0
    if rule.high is not None and size > rule.high:  # and nothing else: a pattern on an overlong text may take for ever
        return [f"Member must have length less than or equal to {rule.high}"]
    broken = []
    if rule.low is not None and size < rule.low:
        broken.append(f"Member must have length greater than or equal to {rule.low}")
    if rule.enum is not None and value not in rule.enum:
        broken.append(f"Member must satisfy enum value set: [{', '.join(shape.metadata['enum'])}]")
    if rule.pattern is not None and rule.pattern.fullmatch(value) is None:
        broken.append(f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}")
    return broken


def _out_of_range(rule: _Rule, value: float) -> list[str]:
    if rule.low is not None and value < rule.low:
        return [f"Member must have value greater than or equal to {rule.low}"]
    if rule.high is not None and value > rule.high:
        return [f"Member must have value less than or equal to {rule.high}"]
    return []


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


def _faults(value: Any, path: str, broken: list[str]) -> Iterator[str]:
    return (_fault(value, path, constraint) for constraint in broken)


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


@cache
def compiled(pattern: str) -> re.Pattern[str] | None:
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
