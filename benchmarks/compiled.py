"""Compiled networks against the engines people use: one photo at a time, two threads, every engine in its own process.

The engines take turns, a few calls each, so that all of them see the same machine. Before each turn nothing runs for a
moment: the threads of some spin on after a call (ONNX Runtime's for 20 ms each), on the cores that the next needs.
Who begins changes from round to round. Every engine keeps its own way of placing threads.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.environments import python_of

from benchmarks import contenders, engines
from benchmarks.rows import Row, Unavailable, compare
from darkroom.runtimes import native

ROUNDS = 40
PAUSE_S = 0.1
LIMIT_S = 90.0  # to compile a ResNet-50, calibration included
PEERS = {"torch": "torch eager fp32", "mxnet": "mxnet 1.9.1 Module", "openvino": "OpenVINO, quantised by NNCF"}
PEERS |= {"ort": "ONNX Runtime, quantised by its own tool", "torch-channels-last": "torch fp32, channels last"}
FRAMEWORKS = ("torch", "torch-channels-last", "mxnet")


@dataclass(frozen=True)
class Engine:
    """``kind`` is one of engines.ENGINES."""

    kind: str
    path: Path


def resnet18() -> list[Row]:
    return _against_frameworks(18, "resnet18")


def resnet152() -> list[Row]:
    return _against_frameworks(152, "resnet152")


def resnet50() -> list[Row]:
    """Also against the same network as the engines' own tools quantise it, and the time it takes to compile."""
    with tempfile.TemporaryDirectory(prefix="compiled-") as folder:
        contender = contenders.build(50, Path(folder) / "ours")
        rivals = {
            "openvino": Engine("openvino", contenders.quantised_by_nncf(contender, Path(folder) / "nncf.xml")),
            "ort": Engine("onnxruntime", contenders.quantised_by_onnxruntime(contender, Path(folder) / "ort.onnx")),
        }
        rows = _race("resnet50v2", contender, _frameworks(contender) | rivals)
    limit = [LIMIT_S]
    took = [contender.compile_s]
    return [
        *rows,
        compare("compile-time-resnet50v2", took, limit, peer_name="the limit", unit="s", more_is_better=False),
    ]


def bf16() -> list[Row]:
    """What bf16 asks for: on processors without it, whole numbers of 16 bits, which lose less (decision 1004)."""
    with tempfile.TemporaryDirectory(prefix="compiled-") as folder:
        contender = contenders.build(50, Path(folder), dtype="bf16")
        return _race("resnet50v2", contender, _frameworks(contender), prefix="bf16")


def _against_frameworks(num_layers: int, name: str) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="compiled-") as folder:
        contender = contenders.build(num_layers, Path(folder))
        return _race(name, contender, _frameworks(contender))


def _frameworks(contender: contenders.Contender) -> dict[str, Engine]:
    return {name: Engine(name, contender.model) for name in FRAMEWORKS}


def _race(
    name: str, contender: contenders.Contender, rivals: Mapping[str, Engine], prefix: str = "compiled"
) -> list[Row]:
    """Where the processor has matrices, also what we are without them, against those that use none either."""
    field = {name: Engine("ours", contender.compiled)}
    if prefix == "compiled" and native.has_matrices():
        field[f"{name}-avx512"] = Engine("ours-without-matrices", contender.compiled)
    times = _take_turns(field | rivals)
    return [
        compare(
            f"{prefix}-{ours}-vs-{rival}",
            times[ours],
            times[rival],
            peer_name=PEERS[rival],
            unit="ms",
            more_is_better=False,
        )
        for ours in field
        for rival in rivals
        if ours == name or rival in FRAMEWORKS
    ]


def _take_turns(field: Mapping[str, Engine]) -> dict[str, list[float]]:
    """Milliseconds of every call, by engine."""
    running = {name: _start(engine) for name, engine in field.items()}
    times: dict[str, list[float]] = {name: [] for name in field}
    try:
        for name, process in running.items():
            if _answer(process) != "ready":
                raise Unavailable(f"{name} did not start")
        for number in range(ROUNDS):
            first = number % len(running)
            for name, process in [*running.items()][first:] + [*running.items()][:first]:
                time.sleep(PAUSE_S)
                print("go", file=process.stdin, flush=True)
                times[name] += [1e3 * seconds for seconds in json.loads(_answer(process))]
    finally:
        for process in running.values():
            process.communicate()  # the end of its input is the end of it
    return times


def _start(engine: Engine) -> "subprocess.Popen[str]":
    python = python_of("mxnet") if engine.kind == "mxnet" else sys.executable
    environment = os.environ | {"OMP_NUM_THREADS": str(engines.THREADS)}
    command = [python, "-W", "ignore", engines.__file__, engine.kind, engine.path]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _answer(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline().strip() if process.stdout else ""
