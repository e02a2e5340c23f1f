"""A compiled artifact: a folder with ``compiled.onnx`` and ``compiled.json``, which describes it and vouches for it.

One portable file serves every engine. What cannot be trusted is checked before an engine sees it: sizes and digests
(cut off, mixed up, damaged), and by ``onnx_scan`` that the graph holds known operators and no reference to other files.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from darkroom.runtimes.onnx_scan import ScanError, scan

MANIFEST, MODEL = "compiled.json", "compiled.onnx"
FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 22
MAX_ELEMENTS = 1 << 28  # of one input; a photo of 8192 pixels a side has 2^28 bytes
MAX_RANGE = 1e30  # of a tensor's values
FLOAT32, BFLOAT16, FLOAT16, INT16 = "fp32", "bf16", "fp16", "int16"
HALVES = (BFLOAT16, FLOAT16)
DTYPES = ("uint8", "float32")

_REMEDY = "compile the model again, or copy the whole artifact again"


class UnusableArtifact(Exception):
    """The folder holds no compiled model that can be served here; the message is one sentence that says why."""


@dataclass(frozen=True)
class Tensor:
    """``shape``: None in the first place stands for any batch. uint8 is a photo (N, H, W, C), 0 to 255."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Compiled:
    """A verified artifact. ``precisions``: how many layers run in which, for people to read."""

    folder: Path
    digest: str  # SHA-256 of the model file
    input: Tensor
    output: Tensor
    dtype: str  # asked for: "fp32", "bf16", "fp16", "int8"
    framework: str
    target: str
    versions: Mapping[str, str] = field(default_factory=dict)
    precisions: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of tensors, as photos showed them
    note: str = ""  # what whoever deploys it should know of the target

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def precision(self) -> str:
        """What its layers are to compute in where they are not quantised; see ``Settings``."""
        return self.dtype if self.dtype in HALVES else FLOAT32


def is_compiled(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def write(folder: Path, model: bytes, **described: Any) -> Compiled:
    """Both files, the manifest last: a folder that has it is complete. ``described``: the other fields of ``Compiled``.

    Raises ScanError for a model that could not be read again, and OSError.
    """
    scan(model)  # what is written can be read
    folder.mkdir(parents=True, exist_ok=True)
    compiled = Compiled(folder, hashlib.sha256(model).hexdigest(), **described)
    record = {name: value for name, value in asdict(compiled).items() if name not in ("folder", "digest")}
    record |= {"format": FORMAT, "model": {"file": MODEL, "size_bytes": len(model), "sha256": compiled.digest}}
    _write(folder / MODEL, model)
    _write(folder / MANIFEST, (json.dumps(record, indent=2) + "\n").encode())
    return compiled


def read(folder: Path) -> Compiled:
    """Raises UnusableArtifact for what is missing, cut off, damaged, hostile, or newer than this version."""
    record = _record(folder / MANIFEST)
    if record.get("format") != FORMAT:
        raise UnusableArtifact(
            f"{MANIFEST} is of format {record.get('format')!r}; this version serves format {FORMAT}: "
            "compile the model with this version"
        )
    model = _object(record, "model")
    if (
        model.get("file") != MODEL
        or type(model.get("size_bytes")) is not int
        or not isinstance(model.get("sha256"), str)
    ):
        raise _odd("model", model)
    _verify(folder / MODEL, model["size_bytes"], model["sha256"])
    texts = {name: _text(record, name) for name in ("dtype", "framework", "target")}
    return Compiled(
        folder,
        model["sha256"],
        input=_tensor(record, "input"),
        output=_tensor(record, "output"),
        versions={str(k): str(v) for k, v in _object(record, "versions").items()},
        precisions={str(k): v for k, v in _object(record, "precisions").items() if type(v) is int},
        ranges=_ranges(record),
        note=_text(record, "note") if "note" in record else "",
        **texts,
    )


def _verify(path: Path, size: int, digest: str) -> None:
    """The file is the one that was written, and one that an engine may see."""
    if path.is_symlink() or not path.is_file():
        raise UnusableArtifact(f"the artifact holds no {path.name}; {_REMEDY}")
    found = path.stat().st_size
    if found != size:
        raise UnusableArtifact(f"{path.name} has {found} bytes, and {MANIFEST} says {size}; {_REMEDY}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnusableArtifact(f"{path.name} is not the file that {MANIFEST} describes (SHA-256 differs); {_REMEDY}")
    try:
        scan(data)
    except ScanError as error:
        raise UnusableArtifact(f"{path.name} is not served: {error}") from None


def _record(path: Path) -> Mapping[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise UnusableArtifact(f"the artifact holds no {path.name}: it is no compiled model; {_REMEDY}")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise UnusableArtifact(f"{path.name} has {path.stat().st_size} bytes, more than any; {_REMEDY}")
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnusableArtifact(f"{path.name} is not readable as JSON ({error}); {_REMEDY}") from None
    if not isinstance(record, dict):
        raise UnusableArtifact(f"{path.name} is not a JSON object; {_REMEDY}")
    return record


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise _odd(name, value)
    return value


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise _odd(name, value)
    return value


def _tensor(record: Mapping[str, Any], name: str) -> Tensor:
    entry = _object(record, name)
    shape, dtype = entry.get("shape"), entry.get("dtype")
    if not isinstance(entry.get("name"), str) or dtype not in DTYPES or not isinstance(shape, list) or not shape:
        raise _odd(name, entry)
    if not all(type(extent) is int and extent > 0 for extent in shape[1:]) or type(shape[0]) not in (int, type(None)):
        raise _odd(name, entry)
    elements = shape[0] or 1
    for extent in shape[1:]:
        elements *= extent
    if not 0 < elements <= MAX_ELEMENTS:
        raise UnusableArtifact(f"{MANIFEST} announces {name}s of shape {shape}, more than is served; {_REMEDY}")
    return Tensor(entry["name"], dtype, tuple(shape))


def _ranges(record: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Artifacts of earlier versions have none."""
    given = _object(record, "ranges") if "ranges" in record else {}
    for name, pair in given.items():
        numbers = isinstance(pair, list) and len(pair) == 2 and all(type(bound) in (int, float) for bound in pair)
        if not numbers or not -MAX_RANGE <= pair[0] <= pair[1] <= MAX_RANGE:
            raise _odd("ranges", {name: pair})
    return {str(name): (float(low), float(high)) for name, (low, high) in given.items()}


def _odd(name: str, value: object) -> UnusableArtifact:
    return UnusableArtifact(f"{MANIFEST}: {name!r} is {str(value)[:100]!r}, which this version never wrote; {_REMEDY}")


def _write(path: Path, data: bytes) -> None:
    """The file appears under its name when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
