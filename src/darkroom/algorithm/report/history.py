"""What a training was like, told by the loop as it goes: a row for each epoch, and what the stored model answered.

Listens only: it decides nothing, prints nothing, and knows neither network nor file. Its memory is a row an epoch and
twice four numbers a validation image.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.data.labels import Classes
from darkroom.algorithm.report.answers import Answers


@dataclass(frozen=True)
class Epoch:
    """``number`` counts from 0. Losses are means, accuracies shares; None where nothing was validated."""

    number: int
    learning_rate: float  # of its last update
    seconds: float  # of training, without validation
    train_loss: float
    train_accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    stored: bool = False


@dataclass
class History:
    """``weights`` (classes,) are those of use_weighted_loss."""

    classes: int
    weights: np.ndarray | None = None
    epochs: list[Epoch] = field(default_factory=list)
    ended: str = ""  # why it ended before the last epoch
    answers: Answers | None = None  # of the model that is stored
    _latest: Answers | None = None

    def trained(
        self, number: int, metrics: Mapping[str, float], loss: float, learning_rate: float, seconds: float
    ) -> None:
        """An epoch's updates are done."""
        self._latest = None
        self.epochs.append(Epoch(number, learning_rate, seconds, loss, metrics["accuracy"]))

    def validating(self, images: int) -> None:
        self._latest = Answers.none(images, self.classes)

    def answered(self, order: npt.NDArray[np.int64], scores: np.ndarray, labels: Classes) -> None:
        """A batch of validation: ``order`` (N,) says which images, scores (N, classes) are logits."""
        if self._latest is not None:
            self._latest.add(order, scores, labels, self.weights)

    def put_together(
        self, rows: Callable[[np.ndarray], np.ndarray], counts: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Each host answered a part of the images: ``rows`` and ``counts`` make of its numbers those of all."""
        if self._latest is not None:
            told = counts(self._latest.counts.astype(np.float64)).astype(np.int64)
            self._latest = Answers(rows(self._latest.rows), told)

    def validated(self, accuracy: float) -> None:
        loss = self._latest.loss if self._latest is not None else None
        self.epochs[-1] = replace(self.epochs[-1], validation_loss=loss, validation_accuracy=accuracy)

    def stored(self) -> None:
        """The model of the epoch that was told last was stored, in place of an earlier one or beside it."""
        self.answers = self._latest
        if self.epochs:
            self.epochs[-1] = replace(self.epochs[-1], stored=True)

    @property
    def kept(self) -> Epoch | None:
        """The epoch whose model was stored last; None where that was in the middle of one."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.stored), None)

    def state(self) -> dict[str, Any]:
        """All of it as numbers, lists and arrays, for a checkpoint that training goes on from."""
        answers = None if self.answers is None else {"rows": self.answers.rows, "counts": self.answers.counts}
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "answers": answers}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        answers = state["answers"]
        self.answers = answers and Answers(np.asarray(answers["rows"]), np.asarray(answers["counts"]))
