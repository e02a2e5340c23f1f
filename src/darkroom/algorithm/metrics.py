"""Accuracy and top-k accuracy, counted on the device and read only when a line is printed.

Knows logits and labels, no epoch and no log.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darkroom.algorithm.data.labels import Classes


class Tally:
    """Right answers and answers so far, by metric name. ``top_k`` adds ``top_k_accuracy_<k>``."""

    def __init__(self, top_k: int | None = None) -> None:
        self._top_k = top_k
        self._right: dict[str, Tensor | int] = {"accuracy": 0} | ({f"top_k_accuracy_{top_k}": 0} if top_k else {})
        self._answers: dict[str, int] = dict.fromkeys(self._right, 0)
        self._broken: Tensor | int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """logits (N, classes); labels (N,) class ids, or (N, classes) rows of 0 and 1."""
        self._broken = self._broken + (~logits.isfinite()).any()
        if labels.ndim == 2:  # agreement of every class of every image, at probability one half
            self._count("accuracy", ((logits > 0) == (labels > 0.5)).sum(), labels.numel())
        else:
            self._count("accuracy", (logits.argmax(1) == labels).sum(), len(labels))
        if self._top_k:
            best = logits.topk(self._top_k, dim=1).indices
            hit = (best == labels[:, None]).any(1) if labels.ndim == 1 else labels.gather(1, best).any(1)
            self._count(f"top_k_accuracy_{self._top_k}", hit.sum(), len(labels))

    def values(self) -> Mapping[str, float]:
        """Shares of right answers. Waits for the device."""
        return {name: int(right) / max(1, self._answers[name]) for name, right in self._right.items()}

    def state(self) -> dict[str, Any]:
        """As numbers, for ``restore``. Waits for the device."""
        right = {name: int(count) for name, count in self._right.items()}
        return {"right": right, "answers": dict(self._answers), "diverged": self.diverged}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on counting. Raises KeyError, TypeError and ValueError for what ``state`` did not give."""
        self._answers = {name: int(state["answers"][name]) for name in self._answers}
        self._right = {name: int(state["right"][name]) for name in self._right}
        self._broken = int(state["diverged"])

    @property
    def diverged(self) -> bool:
        """Whether an answer was no number."""
        return bool(self._broken)

    def _count(self, name: str, right: Tensor, answers: int) -> None:
        self._right[name] = self._right[name] + right
        self._answers[name] += answers


def together(states: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
    """Shares of right answers over all that several tallies have counted, each as its ``state`` says."""
    rights, answers = ([state[what] for state in states] for what in ("right", "answers"))
    return {
        name: sum(right[name] for right in rights) / max(1, sum(count[name] for count in answers)) for name in rights[0]
    }


def verdicts_of(logits: Tensor, labels: Classes) -> np.ndarray:
    """float64 (N,): 1 where the answer is right, 0 where not; with rows of labels, the share of classes that are."""
    scores, known = logits.cpu().numpy(), labels
    if known.ndim == 2:
        return ((scores > 0) == (known > 0.5)).mean(axis=1)
    return (scores.argmax(1) == known).astype(np.float64)


def positive_weights(images_per_class: Tensor, images: int) -> Tensor:
    """(classes,) what an image that has the class weighs against one that has not: as much as there are fewer of them.

    SageMaker says only that use_weighted_loss weighs by the class distribution; this is the usual balance, negatives
    over positives, with a class that no image has left alone.
    """
    positives = images_per_class.to(torch.float32)
    return torch.where(positives > 0, (images - positives) / positives.clamp(min=1), 1.0).clamp(min=1e-3)
