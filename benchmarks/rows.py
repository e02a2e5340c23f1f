"""One measured figure against its peer, and where all of them are kept."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch

# What decides how fast bytes and halves are multiplied, by its flag in /proc/cpuinfo.
EXTENSIONS = {"avx512_vnni": "AVX-512 VNNI", "avx512_bf16": "AVX-512 BF16", "amx_int8": "AMX"}
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results.json"


class Unavailable(Exception):
    """The peer or the data is not on this machine; the message says what to install."""


@dataclass(frozen=True)
class Row:
    """``ratio`` above 1: ours is better. ``n`` is the number of samples on each side."""

    name: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    unit: str
    n: int
    date: str
    machine: str


def compare(
    name: str, ours: Sequence[float], peer: Sequence[float], *, peer_name: str, unit: str, more_is_better: bool
) -> Row:
    """Medians of two interleaved series and their ratio."""
    mine, theirs = median(ours), median(peer)
    ratio = mine / theirs if more_is_better else theirs / mine
    n = min(len(ours), len(peer))
    today = datetime.now(UTC).date().isoformat()
    return Row(name, _round(mine), _round(theirs), peer_name, round(ratio, 3), unit, n, today, machine())


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> str:
    """Processor and what it has for small numbers, cores, GPUs and system.

    Enough to know whether two rows may be set beside each other.
    """
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
        has = ", ".join(name for flag, name in EXTENSIONS.items() if flag in flags)
        model = (names[0] if names else model) + (f" with {has}" if has else "")
    return f"{model}, {os.cpu_count()} cores{_gpus()}, {platform.system()} {platform.release().split('-')[0]}"


def _gpus() -> str:
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return "".join(f", {name}" for name in names)


def load() -> list[Row]:
    return [Row(**entry) for entry in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def store(fresh: Sequence[Row]) -> list[Row]:
    """Replace rows of the same name, keep the rest; returns all."""
    rows = {row.name: row for row in load()} | {row.name: row for row in fresh}
    ordered = [rows[name] for name in sorted(rows)]
    RESULTS.write_text(json.dumps([asdict(row) for row in ordered], indent=1) + "\n")
    return ordered
