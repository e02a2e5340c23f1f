"""What one validation said of every image: the class it took it for, how sure it was, how far off.

A few numbers an image whatever the number of classes, so that a thousand classes cost no more than two. Knows arrays,
and no epoch, no file and no page.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.data.labels import Classes

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

ROWS = 4  # class, probability, loss, truth


@dataclass(frozen=True, eq=False)
class Answers:
    """``rows`` (4, images), nan where an image was not answered: the class that was named, its probability, the loss,
    and the class that is right.

    Of images with several labels the class is the one that the network was most wrong about, the probability what it
    gave to the wrong side of it, and what is right is 1 where the image has the class and 0 where it has not; and
    ``counts`` (3, classes) says how often each class was rightly named, wrongly named, and overlooked. Hosts put theirs
    together by taking what is no nan, or side by side where each has images of its own, and by the sum of the counts.
    """

    rows: Numbers
    counts: Counts

    @classmethod
    def none(cls, images: int, classes: int) -> "Answers":
        return cls(np.full((ROWS, images), np.nan), np.zeros((3, classes), dtype=np.int64))

    def add(
        self, order: npt.NDArray[np.int64], scores: np.ndarray, labels: Classes, weights: np.ndarray | None
    ) -> None:
        """scores (N, classes) are logits; labels (N,) class ids, or (N, classes) rows of 0 and 1, whose loss weighs
        what an image has by ``weights`` (classes,)."""
        logits = np.asarray(scores, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # a network that diverged answers with no numbers
            if labels.ndim == 1:
                self.rows[:, order] = _of_one(logits, labels)
                return
            has, said = labels > 0.5, logits > 0
            self.counts[:] += [(has & said).sum(0), (~has & said).sum(0), (has & ~said).sum(0)]
            self.rows[:, order] = _of_several(logits, has, weights)

    @property
    def known(self) -> npt.NDArray[np.int64]:
        """The images that were answered."""
        return np.flatnonzero(~np.isnan(self.rows[0]))

    @property
    def loss(self) -> float | None:
        """Mean over the images; None where none was answered, nan where the network had diverged."""
        known = self.known
        return float(self.rows[2, known].mean()) if len(known) else None


def _of_one(logits: Numbers, labels: np.ndarray) -> Numbers:
    named, rows = logits.argmax(1), np.arange(len(logits))
    surprise = _log_sum_exp(logits)
    return np.stack([named, np.exp(logits[rows, named] - surprise), surprise - logits[rows, labels], labels])


def _of_several(logits: Numbers, has: np.ndarray, weights: np.ndarray | None) -> Numbers:
    against = np.where(has, -logits, logits)  # how strongly each class is held for what it is not
    surprise = np.logaddexp(0, against)
    if weights is not None:
        surprise = np.where(has, surprise * weights, surprise)
    worst, rows = against.argmax(1), np.arange(len(logits))
    sure = np.exp(-np.logaddexp(0, -against[rows, worst]))
    return np.stack([worst, sure, surprise.mean(1), has[rows, worst]])


def _log_sum_exp(logits: Numbers) -> Numbers:
    most = logits.max(axis=1)
    return np.asarray(most + np.log(np.exp(logits - most[:, None]).sum(axis=1)))
