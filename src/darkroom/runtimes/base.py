"""A runtime turns a compiled artifact into answers: load once, predict often. The protocol, its promises in prose.

What every runtime promises, and ``testing/runtime_contract.py`` holds it to:

* ``load`` reads the artifact's files and nothing else, runs no code of theirs, and raises ``UnusableArtifact`` with one
  sentence for the user where it cannot: never an error of the engine underneath. It neither imports torch nor writes,
  except below ``Settings.cache``.
* A model answers in float32 whatever it computes in. The same array gives the same answer, from any thread; rows of a
  batch do not see each other: their answers are those they would get alone.
* ``predict`` may be called from several threads. ``Settings.streams`` calls compute at once, the others wait.
* An array that does not fit raises ``ArrayMismatch``, which says what was expected; the model works on as before.
* Precision is what ``Settings`` says, on every machine: no engine's own default, which may differ from one to the next.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from darkroom.runtimes.artifact import FLOAT32, HALVES, Compiled, Tensor, UnusableArtifact


class Unsupported(UnusableArtifact):
    """This runtime does not do what the model asks for, or not on this machine; another one may. One sentence."""


class ArrayMismatch(ValueError):
    """The array does not fit the model's input; send one of the shape and type that the message names."""


@dataclass(frozen=True)
class Settings:
    """``precision`` is that of all that is not quantised. bf16 counts where the processor has it. Elsewhere it is, as
    fp16 always is, whole numbers of 16 bits where the artifact says how far its tensors reach and a runtime has them;
    else fp32.
    ``cache``: where an engine may keep what it made of an artifact, on this machine and of this machine's own making.
    """

    threads: int
    streams: int = 1
    precision: str = FLOAT32
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.precision not in (FLOAT32, *HALVES):
            raise ValueError(f"precision {self.precision!r} is none of {', '.join((FLOAT32, *HALVES))}")
        if not 1 <= self.streams <= self.threads:
            raise ValueError(f"{self.streams} streams on {self.threads} threads: each stream needs a thread of its own")


class Model(Protocol):
    """A loaded model. ``precision`` is what it computes in where it is not quantised, as the machine allows: fp32, bf16
    or int16."""

    @property
    def input(self) -> Tensor: ...

    @property
    def output(self) -> Tensor: ...

    @property
    def precision(self) -> str: ...

    def predict(self, array: np.ndarray) -> np.ndarray:
        """(N, …) of ``input``'s type → float32 (N, …). Raises ArrayMismatch."""
        ...


class Runtime(Protocol):
    """One engine. ``version`` is the engine's."""

    name: str
    version: str

    def load(self, artifact: Compiled, settings: Settings) -> Model:
        """Raises UnusableArtifact."""
        ...


def probed(model: Model, name: str) -> Model:
    """The model after one answer, to zeros. Raises UnusableArtifact where it gives none, or not what is recorded."""
    shape = [extent or 1 for extent in model.input.shape]
    try:
        answer = model.predict(np.zeros(shape, model.input.dtype))
    except Exception as error:  # engines raise classes of their own
        raise UnusableArtifact(f"{name} cannot run: {one_line(error)}") from error
    if list(answer.shape[1:]) != list(model.output.shape[1:]):
        raise UnusableArtifact(f"{name} answers with {list(answer.shape)}, and its record says {model.output.shape}")
    return model


def one_line(error: Exception) -> str:
    """An engine's reason, without the places in its source that it comes with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Exception from" not in line]
    return " ".join(lines)[:300] or type(error).__name__


def check_array(array: np.ndarray, expected: Tensor) -> None:
    """Raises ArrayMismatch."""
    shape, rows = array.shape, expected.shape[0]
    fits = shape[1:] == expected.shape[1:] and shape and shape[0] >= 1 and rows in (None, shape[0])
    if not fits or array.dtype != expected.dtype:
        raise ArrayMismatch(
            f"the model takes {expected.dtype} of shape {list(expected.shape)}; found {array.dtype} of shape "
            f"{list(array.shape)}".replace("None", "batch")
        )
