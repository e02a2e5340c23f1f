"""A model folder as a function from bodies of requests to probabilities. The protocol, and which kind a folder is.

What it runs on is imported when a folder asks for it: a compiled model needs no torch, and a worker pays for one
engine.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from darkroom.runtimes.artifact import is_compiled
from darkroom.serving.inputs import Input


class UnusableModel(Exception):
    """The model folder cannot be served; the message is one sentence that says why."""


class Predictor(Protocol):
    """``classes`` are the class names; "0", "1", … where the model brought none. ``streams`` threads may call ``infer``
    at once, any number may read."""

    @property
    def input(self) -> Input: ...

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def description(self) -> str: ...

    @property
    def streams(self) -> int: ...

    def infer(self, rows: np.ndarray) -> np.ndarray:
        """(N, …) that ``input`` read → float32 probabilities (N, classes); no row sees another."""
        ...

    def warm_up(self, cores: int) -> None:
        """One answer, in the thread that will serve. Raises UnusableModel for a model that answers with no number."""
        ...


def load(model_dir: Path, cores: int, cache: Path | None = None) -> Predictor:
    """The model of a folder: compiled where it holds a compiled model, else the algorithm's. Raises UnusableModel."""
    if is_compiled(model_dir):
        from darkroom.serving.compiled import Compiled  # noqa: PLC0415 - an engine is heavy

        return Compiled.load(model_dir, cores, cache)
    from darkroom.serving.eager import Eager  # noqa: PLC0415 - torch is heavy

    return Eager.load(model_dir)


def predict(predictor: Predictor, data: bytes, content_type: str | None = None) -> np.ndarray:
    """float32 probabilities (N, classes) of one body. Raises Refused."""
    return predictor.infer(predictor.input.read(data, content_type))
