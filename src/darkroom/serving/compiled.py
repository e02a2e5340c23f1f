"""A compiled artifact as a predictor: photo bytes straight into the engine's graph. Imports neither torch nor Pillow.

What the graph does not hold comes from the files that travel beside it: darkroom.txt for class names and the way photos
become pixels, as recorded by the training job.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.imaging.preprocess import SQUASH, Preprocess
from darkroom.runtimes import artifact, registry
from darkroom.runtimes.artifact import Tensor, UnusableArtifact
from darkroom.runtimes.base import Model, Runtime, Settings
from darkroom.serving.inputs import Arrays, Input, Photos
from darkroom.serving.predictor import UnusableModel

DETAILS = "darkroom.txt"
MAX_DETAILS_BYTES = 1 << 24
GRAY = 127
SMALL_S, TRIALS = 1e-3, 3  # a model that answers so soon is not worth a second thread


@dataclass(frozen=True)
class Compiled:
    """``streams`` requests are computed at once."""

    model: Model
    input: Input
    classes: tuple[str, ...]
    description: str
    streams: int = 1

    @classmethod
    def load(
        cls, model_dir: Path, cores: int, cache: Path | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> "Compiled":
        """Raises UnusableModel."""
        try:
            record = artifact.read(model_dir)
            engine, model = _loaded(record, Settings(cores, precision=record.precision, cache=cache), clock)
            details = _details(model_dir / DETAILS)
            given = _input(model.input, details)
            classes = _classes(details, model.output)
        except (UnusableArtifact, ValueError, OSError) as error:
            raise UnusableModel(f"the compiled model cannot be served: {error}") from error
        described = f"{record.dtype} model compiled for {record.target}, {len(classes)} classes, on {engine.name}"
        note = f". Note: {record.note}" if record.note else ""
        return cls(model, given, classes, f"{described} {engine.version}, {model.precision}; {given}{note}")

    def infer(self, rows: np.ndarray) -> np.ndarray:
        """float32 probabilities (N, classes)."""
        return self.model.predict(rows)

    def warm_up(self, cores: int) -> None:
        """The engine has set itself up for ``cores`` as it loaded."""
        answer = self.infer(_gray(self.model.input))
        if not np.isfinite(answer).all():
            raise UnusableModel("the compiled model answers NaN: its training diverged; train and compile again")


def _loaded(record: artifact.Compiled, settings: Settings, clock: Callable[[], float]) -> tuple[Runtime, Model]:
    """On one thread where the model is small: others would meet at the end of each layer for longer than they work."""
    engine, model = registry.load_verified(record, settings)
    if settings.threads > 1 and _fastest_s(model, clock) < SMALL_S:
        return registry.load_verified(record, replace(settings, threads=1))
    return engine, model


def _fastest_s(model: Model, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(TRIALS):
        began = clock()
        model.predict(_gray(model.input))
        times.append(clock() - began)
    return min(times)


def _gray(expected: Tensor) -> np.ndarray:
    return np.full([extent or 1 for extent in expected.shape], GRAY, expected.dtype)


def _input(expected: Tensor, details: Mapping[str, Any]) -> Input:
    """Raises ValueError for a record of preprocessing that does not fit the graph."""
    if expected.dtype != "uint8":
        return Arrays(tuple(extent or 1 for extent in expected.shape[1:]))
    if len(expected.shape) != 4:
        raise ValueError(f"its graph takes uint8 {list(expected.shape)}; photos are (batch, height, width, channels)")
    height, width, channels = (extent or 1 for extent in expected.shape[1:])
    record = details.get("preprocessing")
    preprocess = Preprocess.from_dict(record) if record else Preprocess(height, width, channels, mode=SQUASH)
    if (preprocess.height, preprocess.width, preprocess.channels) != (height, width, channels):
        raise ValueError(f"{DETAILS} records {preprocess}, and its graph takes {height} x {width} x {channels}")
    return Photos(preprocess, rounded=True)


def _classes(details: Mapping[str, Any], output: Tensor) -> tuple[str, ...]:
    count = output.shape[-1] or 1
    names = details.get("classes")
    if names is None:
        return tuple(map(str, range(count)))
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{DETAILS} does not name the {count} classes of the model; correct its 'classes'")
    return tuple(names)


def _details(path: Path) -> Mapping[str, Any]:
    """Empty for a model that was not made here. Raises ValueError."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_DETAILS_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, more than any model's")
    try:
        details = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not readable as JSON: {error}") from error
    if not isinstance(details, dict) or not isinstance(details.get("preprocessing", {}), dict | None):
        raise ValueError(f"{path.name} is not a record of a model; copy the whole artifact again")
    return details
