"""CompilerOptions, a JSON text: one table says what may stand in it; the parser, the errors and the pages read it.

What other compilers take (``mattr``, ``opt_level`` …) is accepted and counts for nothing; what nobody takes is refused.
"""

import ast
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from darkroom.compiler.errors import CompileError

FP32, BF16, FP16, INT8 = "fp32", "bf16", "fp16", "int8"
DTYPES = (INT8, BF16, FP16, FP32)
DEFAULT_TOLERANCE = 0.1  # points of accuracy


@dataclass(frozen=True)
class Options:
    """``dtype`` None: int8 where photos to calibrate on are at hand, else fp32."""

    dtype: str | None = None
    calibration: str | None = None  # s3:// prefix of photos
    accuracy_tolerance: float = DEFAULT_TOLERANCE
    calibration_photos: int = 300
    validation_photos: int = 1000


@dataclass(frozen=True)
class Option:
    """``read`` gives the value or raises ValueError; ``expects`` completes "expected …"."""

    name: str
    field: str
    expects: str
    help: str
    read: Callable[[object], object]


def _dtype(value: object) -> str:
    synonyms = {"float32": FP32, "bfloat16": BF16, "float16": FP16, "uint8": INT8}
    name = synonyms.get(str(value).lower(), str(value).lower())
    if name not in DTYPES:
        raise ValueError
    return name


def _prefix(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("s3://") or not value.removeprefix("s3://").strip("/"):
        raise ValueError
    return value


def _tolerance(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]
    if isinstance(value, bool) or not math.isfinite(number) or not 0 <= number <= 100:
        raise ValueError
    return number


def _photos(value: object) -> int:
    number = int(value)  # type: ignore[call-overload]
    if isinstance(value, bool) or not 1 <= number <= 100_000 or number != float(value):  # type: ignore[arg-type]
        raise ValueError
    return int(number)


_DTYPE = "what to compute in; int8 is checked by the guard; bf16 and fp16 are whole numbers where that is faster"
OPTIONS: tuple[Option, ...] = (
    Option("dtype", "dtype", "one of " + ", ".join(DTYPES), _DTYPE, _dtype),
    Option("calibration", "calibration", "an s3:// prefix", "photos that int8 and 16 bits are calibrated on", _prefix),
    Option(
        "accuracy_tolerance",
        "accuracy_tolerance",
        "points from 0 to 100",
        f"how much accuracy int8 may cost; {DEFAULT_TOLERANCE} by default",
        _tolerance,
    ),
    Option("calibration_photos", "calibration_photos", "1 to 100000", "at most so many are looked at", _photos),
    Option("validation_photos", "validation_photos", "1 to 100000", "at most so many are checked", _photos),
)
IGNORED = (  # of SageMaker's documentation: settings of its own back ends
    "mattr", "mcpu", "NEON", "opt_level", "output_tensors", "input_tensors", "class_labels", "class_path", "gpu-code",
    "trt-ver", "cuda-ver", "compiler_flags", "framework_compilation", "ANDROID_PLATFORM", "ANDROID_ABI", "mrvl",
)  # fmt: skip


def parse(text: str | None) -> tuple[Options, list[str]]:
    """(options, names that were given and count for nothing). Raises CompileError, which says what was expected."""
    if text is None or not text.strip():
        return Options(), []
    known = {option.name: option for option in OPTIONS}
    fields: dict[str, object] = {}
    ignored = []
    for name, value in _record(text).items():
        if name in IGNORED:
            ignored.append(name)
        elif name in known:
            fields[known[name].field] = _value(known[name], value)
        else:
            raise CompileError(f"CompilerOptions has no {name!r}; expected some of: {', '.join(known)}")
    return Options(**fields), ignored  # type: ignore[arg-type]


def _record(text: str) -> Mapping[str, object]:
    for read in (json.loads, ast.literal_eval):  # literals only: the SDK sends what str() makes of a dict
        try:
            record = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(record, str):  # JSON within JSON, as one documented example has it: "\"--verbose 1\""
            return {"compiler_flags": record}
        if isinstance(record, Mapping) and all(isinstance(name, str) for name in record):
            return record
    raise CompileError(f'CompilerOptions is {text[:200]!r}; expected a JSON object such as {{"dtype": "int8"}}')


def _value(option: Option, value: object) -> object:
    try:
        return option.read(value)
    except (TypeError, ValueError, OverflowError):
        raise CompileError(f"CompilerOptions: {option.name} is {value!r}; expected {option.expects}") from None


def page() -> str:
    """The reference page, from the table."""
    rows = [f"| `{o.name}` | {o.expects} | {o.help} |" for o in OPTIONS]
    lines = ["# CompilerOptions", "", "A JSON object. All of it may be left out.", "", "| name | value | meaning |"]
    ignored = f"Accepted, and of no meaning here: {', '.join(f'`{name}`' for name in IGNORED)}."
    return "\n".join([*lines, "|---|---|---|", *rows, "", ignored, ""])


if __name__ == "__main__":
    print(page(), end="")
