"""What validation's answers amount to: how each class did, what is taken for what, the mistakes to look at first.

Pure functions of answers and labels; they know no image, no page and no file.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.data.labels import Classes, images_per_class
from darkroom.algorithm.report.answers import Answers, Counts

MOST_MISTAKES = 24


@dataclass(frozen=True)
class ClassStanding:
    """One class among the validation images. With several labels an image, ``named`` counts answers of yes."""

    label: int
    images: int  # that have the class
    right: int  # of them, found
    named: int  # how often it was the answer
    taken_for: int | None = None  # the class that its images are mistaken for most often

    @property
    def recall(self) -> float | None:
        """Share of its images that were found; None where it has no image."""
        return self.right / self.images if self.images else None

    @property
    def precision(self) -> float | None:
        """Share of its answers that were right; None where it never was the answer."""
        return self.right / self.named if self.named else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of recall and precision; None where both are unknown."""
        both = self.images + self.named
        return 2 * self.right / both if both else None


@dataclass(frozen=True)
class Pair:
    """``count`` images of class ``true`` were taken for class ``named``; ``share`` of all images of ``true``."""

    true: int
    named: int
    count: int
    share: float


@dataclass(frozen=True)
class Mistake:
    """Image ``k`` of validation. With several labels ``true`` is None, and ``has`` says whether it has ``named``."""

    k: int
    named: int
    probability: float  # given to what is wrong
    true: int | None = None
    has: bool = False


def standings(answers: Answers, labels: Classes, classes: int) -> list[ClassStanding]:
    """A row for each class, in the order of their labels."""
    if labels.ndim == 2:
        right, wrong, missed = answers.counts.tolist()
        return [ClassStanding(c, right[c] + missed[c], right[c], right[c] + wrong[c]) for c in range(classes)]
    known = answers.known
    true, named = labels[known], answers.rows[0, known].astype(np.int64)
    images, answered = images_per_class(true, classes), images_per_class(named, classes)
    right = images_per_class(true[true == named], classes)
    most = {pair.true: pair.named for pair in reversed(confused(answers, labels))}
    return [ClassStanding(c, int(images[c]), int(right[c]), int(answered[c]), most.get(c)) for c in range(classes)]


def confused(answers: Answers, labels: Classes) -> list[Pair]:
    """Pairs of different classes, the most frequent first. Of single labels only."""
    true, named, counts = pairs(answers, labels)
    totals = np.bincount(true, weights=counts) if len(true) else np.zeros(0)
    wrong = np.flatnonzero(true != named)
    order = wrong[np.lexsort((named[wrong], true[wrong], -counts[wrong]))]
    return [Pair(int(true[i]), int(named[i]), int(counts[i]), float(counts[i] / totals[true[i]])) for i in order]


def pairs(answers: Answers, labels: Classes) -> tuple[Counts, Counts, Counts]:
    """(true, named, count) of every pair of classes that occurs, the right answers among them: the confusion matrix
    without its zeros, which a thousand classes have a million of."""
    known = answers.known
    both = np.stack([labels[known].astype(np.int64), answers.rows[0, known].astype(np.int64)])
    found, counts = np.unique(both, axis=1, return_counts=True)
    return found[0], found[1], counts.astype(np.int64)


def matrix(answers: Answers, labels: Classes, classes: int) -> Counts:
    """(classes, classes) images of each class, by row, and what they were taken for, by column."""
    counts: npt.NDArray[np.int64] = np.zeros((classes, classes), dtype=np.int64)
    true, named, found = pairs(answers, labels)
    counts[true, named] = found
    return counts


def mistakes(answers: Answers, labels: Classes, most: int = MOST_MISTAKES) -> list[Mistake]:
    """The wrong answers that were given with most confidence, the most confident first; not those of a network that
    diverged, whose answers are no numbers."""
    named, probability = answers.rows[0], answers.rows[1]
    if labels.ndim == 2:
        wrong = np.flatnonzero(probability > 0.5)
    else:
        known = answers.known
        wrong = known[(named[known] != labels[known]) & ~np.isnan(probability[known])]
    order = wrong[np.argsort(-probability[wrong], kind="stable")][:most]
    return [_mistake(int(k), int(named[k]), float(probability[k]), labels) for k in order]


def _mistake(k: int, named: int, probability: float, labels: Classes) -> Mistake:
    if labels.ndim == 2:
        return Mistake(k, named, probability, has=bool(labels[k, named] > 0.5))
    return Mistake(k, named, probability, true=int(labels[k]))
