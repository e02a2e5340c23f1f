"""The folder of pretrained weights: files that jobs can read, and beside each a record of what it is.

``<name>.safetensors`` or ``<name>.params``, and ``<name>.json``. A file that was only put there, with no record, counts
too. Knows no torch.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

VARIABLE = "DARKROOM_WEIGHTS"
SUFFIXES = (".safetensors", ".params")
MAX_RECORD_BYTES = 1 << 16


@dataclass(frozen=True)
class Record:
    """What is known of a file. ``mean`` and ``std``: of RGB in 0..1, where they are not ImageNet's."""

    network: str = ""
    num_layers: int = 0
    num_classes: int = 0
    missing: int = 0  # tensors that start anew
    source: str = ""
    sha256: str = ""  # of the file as it came
    licence: str = ""
    expects: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Held:
    name: str
    path: Path
    record: Record


def folder_of(environ: Mapping[str, str] = os.environ) -> Path:
    """DARKROOM_WEIGHTS, or ``weights`` in the home folder."""
    given = environ.get(VARIABLE)
    home = Path(environ.get("DARKROOM_HOME") or "~/.darkroom")
    return Path(given).expanduser() if given else home.expanduser() / "weights"


def held(folder: Path) -> list[Held]:
    """Every file of weights in the folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    return [Held(path.stem, path, read_record(path.with_suffix(".json"))) for path in files]


def read_record(path: Path) -> Record:
    """Empty where there is none, or what is there is no record."""
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            return Record()
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return Record()
    values = read if isinstance(read, dict) else {}
    return Record(**{f.name: _value(values[f.name], f.default) for f in fields(Record) if f.name in values})


def write_record(path: Path, record: Record) -> None:
    path.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _value(given: Any, default: Any) -> Any:
    """What was read, or the default where it has another type."""
    if isinstance(default, tuple):
        numbers = isinstance(given, list) and all(type(x) in (int, float) for x in given)
        return tuple(map(float, given)) if numbers and len(given) in (0, 3) else default
    return given if type(given) is type(default) else default
