"""A training run as it stands between two updates, in one file: written whole or not at all, and believed only when it
holds what it must. Knows neither network nor images, and not when one is due.

The file is safetensors (nothing is ever unpickled): the numbers as tensors, everything else as JSON in its header.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save_file
from torch import Tensor

FORMAT = 1
HEADER = "darkroom"  # the header's entry that holds the JSON
# Two names in turn, because the platform stores what is written and never takes a file away.
NAMES = ("darkroom-checkpoint-0.safetensors", "darkroom-checkpoint-1.safetensors")
UNREADABLE = (safetensors.SafetensorError, OSError, KeyError, ValueError, RecursionError, RuntimeError)
_MODEL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class SnapshotError(ValueError):
    """The file holds no complete run; the message says what is wrong with it."""


@dataclass(frozen=True)
class Snapshot:
    """``job``: what it belongs to, by name. ``progress``: what the loop knows, as JSON. ``kept``: the digest of each
    file that the job has in /opt/ml/model by now (older snapshots: its size in bytes); they lie beside the snapshot."""

    epoch: int  # epochs that are over
    batch: int  # batches of the next one that are done
    job: Mapping[str, Any]
    progress: Mapping[str, Any]
    kept: Mapping[str, str | int]
    tensors: Mapping[str, Tensor]
    name: str = NAMES[0]  # of the file

    @property
    def header(self) -> dict[str, Any]:
        """All but the tensors, as JSON."""
        return {f.name: getattr(self, f.name) for f in fields(Snapshot) if f.name != "tensors"}


def write(folder: Path, snapshot: Snapshot) -> Path:
    """Appears under its name when it is complete and on the disk. Raises OSError."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()}
    metadata = {HEADER: json.dumps({"format": FORMAT} | snapshot.header)}
    return appear(folder / snapshot.name, lambda part: save_file(tensors, part, metadata))


def read(path: Path) -> Snapshot:
    """Raises SnapshotError, also where a model file that it needs is not there or not whole."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except UNREADABLE as error:
        raise SnapshotError(f"{path.name} is no complete checkpoint ({error})") from error
    snapshot = _checked(header, tensors, path)
    for name, known in snapshot.kept.items():
        beside = path.with_name(name)
        if not beside.is_file() or known != (beside.stat().st_size if isinstance(known, int) else digest(beside)):
            raise SnapshotError(
                f"{path.name} needs the file {name} as it was beside it, and it is another or not there"
            )
    return snapshot


def digest(path: Path) -> str:
    """Of a file's content: networks of one kind all have files of the same size. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def found(folder: Path) -> list[Path]:
    """The snapshots of a folder, the furthest first, before it those that do not say how far they are."""
    return sorted(filter(Path.is_file, (folder / name for name in NAMES)), key=_place, reverse=True)


def appear(path: Path, fill: Callable[[Path], object]) -> Path:
    """A file that is never seen half written, not even after the power failed."""
    part = path.with_name(f".{path.name}.part")
    try:
        fill(part)
        _to_disk(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _to_disk(path.parent)
    return path


def _place(path: Path) -> tuple[float, float]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
        return float(header["epoch"]), float(header["batch"])
    except (*UNREADABLE, TypeError):
        return math.inf, math.inf


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(header: Any, tensors: dict[str, Tensor], path: Path) -> Snapshot:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SnapshotError(f"{path.name} is no checkpoint that this version of Darkroom can read")
    try:
        snapshot = Snapshot(
            epoch=header["epoch"],
            batch=header["batch"],
            job=header["job"],
            progress=header["progress"],
            kept=header["kept"],
            tensors=tensors,
            name=path.name,
        )
    except KeyError as error:
        raise SnapshotError(f"{path.name} does not say its {error}") from error
    known = _values(snapshot.kept)
    numbers = [snapshot.epoch, snapshot.batch, *(value for value in known if not isinstance(value, str))]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise SnapshotError(f"{path.name} does not say how far the training was")
    if not isinstance(snapshot.job, dict) or not isinstance(snapshot.progress, dict):
        raise SnapshotError(f"{path.name} does not say which job it is of")
    if not all(_MODEL_FILE.fullmatch(name) for name in snapshot.kept):
        raise SnapshotError(f"{path.name} names model files that are none")
    return snapshot


def _values(kept: Any) -> list[Any]:
    return list(kept.values()) if isinstance(kept, dict) else [None]
