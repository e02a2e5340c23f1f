"""OpenVINO as a runtime: the fast one on x86 processors. Everything that its defaults would decide is set here.

It runs a model at a batch of one: on a processor, larger batches gain nothing, and a fixed shape is what it optimises
best for. What it makes of a model can be kept on the machine (``Settings.cache``), which thirds the time of a start.
"""

import contextlib
import hashlib
import math
import mmap
import os
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.runtimes.artifact import BFLOAT16, FLOAT32, Compiled, Tensor, UnusableArtifact
from darkroom.runtimes.base import Model, Settings, check_array, one_line, probed
from darkroom.runtimes.bindings import bindings
from darkroom.runtimes.processor import has_bfloat16

ov = bindings()

MAX_ELEMENTS = 1 << 28  # of one tensor inside the graph
MOST_KEPT = 32  # of a cache; the oldest go
_HINTS = {FLOAT32: "f32", BFLOAT16: "bf16"}


class OpenVino:
    name = "openvino"
    version = str(ov.get_version()).partition("-")[0]

    def load(self, artifact: Compiled, settings: Settings) -> Model:
        core = ov.Core()
        able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") and has_bfloat16()
        half = able and settings.precision == BFLOAT16  # emulation would take four times as long as fp32
        precision = BFLOAT16 if half else FLOAT32
        options = _options(settings, precision)
        try:
            compiled, mapped = _compiled(core, artifact, options, settings.cache)
            requests = [compiled.create_infer_request() for _ in range(settings.streams)]
        except UnusableArtifact:
            raise
        except RuntimeError as error:
            raise UnusableArtifact(f"OpenVINO cannot load {artifact.model.name}: {one_line(error)}") from error
        loaded = probed(
            _Loaded(artifact.input, artifact.output, precision, _pool(requests), mapped), artifact.model.name
        )
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)  # the engine works on a copy in an order of its own
        return loaded


def _options(settings: Settings, precision: str) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": settings.threads,
        "NUM_STREAMS": settings.streams,
        "ENABLE_CPU_PINNING": settings.threads >= len(os.sched_getaffinity(0)),  # decision 1002
    }


@dataclass(frozen=True)
class _Loaded:
    input: Tensor
    output: Tensor
    precision: str
    requests: "queue.SimpleQueue[Any]"
    mapped: mmap.mmap | None = None  # the file that the engine may still look into

    def predict(self, array: np.ndarray) -> np.ndarray:
        check_array(array, self.input)
        rows = [array] if self.input.shape[0] is not None else np.split(array, len(array))
        with self._request() as request:
            answers = [self._infer(request, np.require(row, requirements=["C", "W"])) for row in rows]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    @staticmethod
    def _infer(request: Any, row: np.ndarray) -> np.ndarray:
        request.infer(ov.Tensor(row, shared_memory=True), True, False)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)  # a copy: the next call writes there

    @contextlib.contextmanager
    def _request(self) -> Iterator[Any]:
        request = self.requests.get()
        try:
            yield request
        finally:
            self.requests.put(request)


def _pool(requests: list[Any]) -> "queue.SimpleQueue[Any]":
    pool: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for request in requests:
        pool.put(request)
    return pool


def _compiled(
    core: Any, artifact: Compiled, options: dict[str, Any], cache: Path | None
) -> tuple[Any, mmap.mmap | None]:
    """From the cache, after it was put there where it was not; without a cache, as it is compiled."""
    if cache is None:
        return core.compile_model(_read(core, artifact), "CPU", options), None
    kept = cache / f"{_key(artifact, options)}.blob"
    if not kept.is_file():
        compiled = core.compile_model(_read(core, artifact), "CPU", options)
        if not _keep(compiled, kept):
            return compiled, None
        del compiled  # what is read back takes 70 MiB less than what was compiled (ResNet-50, measured)
    with contextlib.suppress(RuntimeError, OSError, ValueError):  # of another version, or damaged
        return _imported(core, kept, options)
    kept.unlink(missing_ok=True)
    return core.compile_model(_read(core, artifact), "CPU", options), None


def _imported(core: Any, path: Path, options: dict[str, Any]) -> tuple[Any, mmap.mmap]:
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    blob = ov.Tensor(np.frombuffer(mapped, np.uint8), shared_memory=True)
    compiled = core.import_model(blob, "CPU", options)
    os.utime(path)  # it is in use: others are older
    return compiled, mapped


def _read(core: Any, artifact: Compiled) -> Any:
    """The graph at a batch of one, where the artifact allows any. Raises UnusableArtifact where it does not fit."""
    model = core.read_model(artifact.model.read_bytes(), b"")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnusableArtifact(
            f"{artifact.model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; expected one each"
        )
    shape = ov.PartialShape([extent or 1 for extent in artifact.input.shape])
    if not model.input(0).partial_shape.compatible(shape):
        found = model.input(0).partial_shape
        raise UnusableArtifact(f"{artifact.model.name} takes {found}, and its record says {artifact.input.shape}")
    model.reshape(shape)
    kind = model.input(0).element_type.to_dtype()
    if kind != np.dtype(artifact.input.dtype):
        raise UnusableArtifact(f"{artifact.model.name} takes {kind}, and its record says {artifact.input.dtype}")
    for operation in model.get_ops():
        for output in operation.outputs():
            found = output.get_partial_shape()
            if found.is_dynamic or math.prod(found.to_shape()) > MAX_ELEMENTS:
                raise UnusableArtifact(f"{artifact.model.name} computes a tensor of shape {found}, which is not served")
    return model


def _key(artifact: Compiled, options: dict[str, Any]) -> str:
    """Of the model and of all that shapes what the engine makes of it."""
    named = [artifact.digest, ov.get_version(), repr(artifact.input.shape), repr(sorted(options.items()))]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


def _keep(compiled: Any, path: Path) -> bool:
    """Whether it could be written. A cache that cannot be is no reason not to serve."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_bytes(compiled.export_model().getvalue())
        os.replace(part, path)
        blobs = sorted(path.parent.glob("*.blob"), key=lambda blob: blob.stat().st_mtime, reverse=True)
        for old in blobs[MOST_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return True
