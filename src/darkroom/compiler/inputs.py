"""DataInputConfig in all its spellings, as inputs with shapes. Knows no framework; text is read, never evaluated.

SageMaker documents, by framework: ``{"data": [1, 3, 224, 224]}``, the same with Python's quotes (the SDK's own str of a
dict), ``[[1, 3, 224, 224]]`` and ``[1, 3, 224, 224]`` for models that name no inputs, and a list of
``{"shape": […], "name": "data"}`` as in model-shapes.json. A batch of -1, None or "batch" is dynamic.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from darkroom.compiler.errors import InputConfiguration

EXPECTED = '{"data": [1, 3, 224, 224]}'
MAX_TEXT = 16_384  # characters, SageMaker's own limit
MAX_INPUTS = 64
MAX_EXTENT = 1 << 20
UNNAMED = ""  # an input whose name the model must say

_DYNAMIC = {-1, None, "?", "None", "batch", "-1"}


@dataclass(frozen=True)
class Input:
    """``shape``: None in the first place stands for any batch."""

    name: str
    shape: tuple[int | None, ...]


def parse(text: str) -> tuple[Input, ...]:
    """Raises InputConfiguration, which shows what was found and what was expected."""
    if len(text) > MAX_TEXT:
        raise InputConfiguration(f"DataInputConfig has {len(text)} characters; expected at most {MAX_TEXT}")
    record = _read(text)
    if isinstance(record, Mapping):
        entries = list(record.items())
    elif _is_shape(record):
        entries = [(UNNAMED, record)]
    elif isinstance(record, list | tuple):
        entries = [_entry(item, text) for item in record]
    else:
        raise _unexpected(text)
    if not 0 < len(entries) <= MAX_INPUTS:
        raise _unexpected(text)
    return tuple(_input(name, shape, text) for name, shape in entries)


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())  # literals only: no names, no calls
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise _unexpected(text) from None


def _entry(item: object, text: str) -> tuple[object, object]:
    """Of ``{"shape": …, "name": …}``, ``{"data": …}`` or a bare shape."""
    if isinstance(item, Mapping) and "shape" in item:
        return item.get("name", UNNAMED), item["shape"]
    if isinstance(item, Mapping) and len(item) == 1:
        return next(iter(item.items()))
    if _is_shape(item):
        return UNNAMED, item
    raise _unexpected(text)


def _is_shape(item: object) -> bool:
    return (
        isinstance(item, list | tuple) and bool(item) and not any(isinstance(e, list | tuple | Mapping) for e in item)
    )


def _input(name: object, shape: object, text: str) -> Input:
    if isinstance(shape, Mapping) and "shape" in shape:  # Core ML's {"data": {"shape": […], "default_shape": […]}}
        shape = shape["shape"]
    if not isinstance(name, str) or not isinstance(shape, list | tuple):
        raise _unexpected(text)
    return Input(name, tuple(_extent(extent, place, shape, text) for place, extent in enumerate(shape)))


def _extent(extent: object, place: int, shape: Sequence[object], text: str) -> int | None:
    if not isinstance(extent, float | bool) and not isinstance(extent, list | tuple | dict) and extent in _DYNAMIC:
        if place == 0:
            return None
        raise InputConfiguration(
            f"the shape {list(shape)} leaves extent {place} open; only the batch, in the first place, may be open"
        )
    if type(extent) is int and 1 <= extent <= MAX_EXTENT:
        return extent
    raise InputConfiguration(
        f"the shape {list(shape)} has {extent!r} in place {place}; expected whole numbers from 1 to {MAX_EXTENT}, "
        f"or -1 for the batch (DataInputConfig: {text[:200]})"
    )


def _unexpected(text: str) -> InputConfiguration:
    return InputConfiguration(f"DataInputConfig is {text[:200]!r}; expected something like {EXPECTED}")
