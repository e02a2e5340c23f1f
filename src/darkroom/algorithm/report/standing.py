"""What validation's answers amount to: how each class did, what is taken for what, the mistakes to look at first.

Pure functions of answers; they know no image, no page and no file. ``several``: images have several labels.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.data.labels import images_per_class
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


def standings(answers: Answers, classes: int, several: bool) -> list[ClassStanding]:
    """A row for each class, in the order of their labels."""
    if several:
        right, wrong, missed = answers.counts.tolist()
        return [ClassStanding(c, right[c] + missed[c], right[c], right[c] + wrong[c]) for c in range(classes)]
    true, named = _true_and_named(answers)
    images, answered = images_per_class(true, classes), images_per_class(named, classes)
    right = images_per_class(true[true == named], classes)
    most = {pair.true: pair.named for pair in reversed(confused(answers))}
    return [ClassStanding(c, int(images[c]), int(right[c]), int(answered[c]), most.get(c)) for c in range(classes)]


def confused(answers: Answers) -> list[Pair]:
    """Pairs of different classes, the most frequent first. Of single labels only."""
    true, named, counts = pairs(answers)
    totals = np.bincount(true, weights=counts) if len(true) else np.zeros(0)
    wrong = np.flatnonzero(true != named)
    order = wrong[np.lexsort((named[wrong], true[wrong], -counts[wrong]))]
    return [Pair(int(true[i]), int(named[i]), int(counts[i]), float(counts[i] / totals[true[i]])) for i in order]


def pairs(answers: Answers) -> tuple[Counts, Counts, Counts]:
    """(true, named, count) of every pair of classes that occurs, the right answers among them: the confusion matrix
    without its zeros, which a thousand classes have a million of."""
    found, counts = np.unique(_true_and_named(answers), axis=1, return_counts=True)
    return found[0], found[1], counts.astype(np.int64)


def _true_and_named(answers: Answers) -> Counts:
    """(2, answered images)."""
    return answers.rows[[3, 0]][:, answers.known].astype(np.int64)


def matrix(answers: Answers, classes: int) -> Counts:
    """(classes, classes) images of each class, by row, and what they were taken for, by column."""
    counts: npt.NDArray[np.int64] = np.zeros((classes, classes), dtype=np.int64)
    true, named, found = pairs(answers)
    counts[true, named] = found
    return counts


def mistakes(answers: Answers, several: bool, most: int = MOST_MISTAKES) -> list[Mistake]:
    """The wrong answers that were given with most confidence, the most confident first; not those of a network that
    diverged, whose answers are no numbers."""
    named, probability, _, right = answers.rows
    is_wrong = probability > 0.5 if several else (named != right) & ~np.isnan(probability)
    wrong = np.flatnonzero(is_wrong)
    order = wrong[np.argsort(-probability[wrong], kind="stable")][:most]
    return [_mistake(int(k), int(named[k]), float(probability[k]), int(right[k]), several) for k in order]


def _mistake(k: int, named: int, probability: float, right: int, several: bool) -> Mistake:
    if several:
        return Mistake(k, named, probability, has=bool(right))
    return Mistake(k, named, probability, true=right)
