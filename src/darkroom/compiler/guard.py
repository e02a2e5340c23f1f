"""Whether a faster model still answers as the first one did: pure numbers on two tables of probabilities.

Accuracy may fall by the tolerance. On few photos that is less than one photo, so chance must be allowed for, in a way
that is stated: of the photos that only one of the two models got right, as many should be lost as gained when nothing
was lost. A loss that a fair coin would show with a chance of at least ``FAIR_CHANCE`` (one-sided exact sign test, also
known as McNemar's) counts as none. The line is far on the careful side of the usual five in a hundred: it lets one
photo pass, and never two of a pair.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from darkroom.compiler.errors import CompileError

FAIR_CHANCE = 0.3
AGREEMENT = 0.99  # without labels: that many photos keep their class
THRESHOLD = 0.5  # a label counts as given from here on
_LEAST = 1e-12  # of a probability, under the logarithm

Label = int | np.ndarray  # a class, or 0/1 for each class


@dataclass(frozen=True)
class Verdict:
    """``lost`` and ``gained``: answers that only the reference, only the candidate, got right. Accuracies are shares,
    None without labels; ``logit_error`` is the relative error of the centred log-probabilities."""

    accepted: bool
    reason: str
    photos: int
    accuracy_reference: float | None
    accuracy: float | None
    lost: int
    gained: int
    agreement: float  # top-1
    logit_error: float
    max_difference: float  # of a probability

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def judge(reference: np.ndarray, candidate: np.ndarray, labels: Sequence[Label] | None, tolerance: float) -> Verdict:
    """Probabilities (photos, classes) of both models; ``tolerance`` in points of accuracy.

    Raises CompileError where the photos are none, or labels do not fit the classes.
    """
    if reference.shape != candidate.shape or not len(reference):
        raise CompileError(f"nothing to compare: {reference.shape} and {candidate.shape} answers")
    agreement = float(np.mean(reference.argmax(axis=1) == candidate.argmax(axis=1)))
    before = after = None
    lost = gained = 0
    if not np.isfinite(candidate).all():
        accepted, reason = False, "it answers NaN or infinity"
    elif labels is None:
        accepted, reason = _without_labels(agreement, len(reference))
    else:
        before, after = right(reference, labels), right(candidate, labels)
        lost, gained = int(np.sum(before & ~after)), int(np.sum(~before & after))
        accepted, reason = _decide(lost, gained, before.size, tolerance)
    return Verdict(
        accepted,
        reason,
        photos=len(reference),
        accuracy_reference=None if before is None else float(before.mean()),
        accuracy=None if after is None else float(after.mean()),
        lost=lost,
        gained=gained,
        agreement=agreement,
        logit_error=logit_error(reference, candidate),
        max_difference=float(np.abs(reference - candidate).max()),
    )


def _decide(lost: int, gained: int, answers: int, tolerance: float) -> tuple[bool, str]:
    points = 100 * (lost - gained) / answers
    if points <= tolerance:
        return True, f"accuracy changed by {0.0 - points:+.2f} points; {tolerance:g} may be lost"
    chance = sign_test(lost, gained)
    said = (
        f"{points:.2f} points were lost and {tolerance:g} may be; of {lost + gained} answers that differ {lost} were "
        f"lost, which chance alone would do with {chance:.0%} (exact sign test; from {FAIR_CHANCE:.0%} it is none)"
    )
    return chance >= FAIR_CHANCE, said


def _without_labels(agreement: float, photos: int) -> tuple[bool, str]:
    allowed = max(1.0, (1 - AGREEMENT) * photos)
    changed = round((1 - agreement) * photos)
    return changed <= allowed, f"without labels: {changed} of {photos} photos changed class, {allowed:.0f} may"


def sign_test(lost: int, gained: int) -> float:
    """P(at least ``lost`` of lost + gained) when each is as likely as the other."""
    total = lost + gained
    ways: int = sum(math.comb(total, k) for k in range(lost, total + 1))
    return float(ways / 2**total)


def right(probabilities: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """bool (photos,) for classes, (photos, classes) for 0/1 rows. Raises CompileError for labels that do not fit."""
    classes = probabilities.shape[1]
    if all(np.ndim(label) == 0 for label in labels):
        numbers = np.asarray(labels, dtype=np.int64)
        if numbers.min() < 0 or numbers.max() >= classes:
            raise CompileError(f"a label is {numbers.max()}; the model has the classes 0 to {classes - 1}")
        return np.asarray(probabilities.argmax(axis=1) == numbers)
    rows = [np.asarray(label) for label in labels]
    if any(row.shape != (classes,) for row in rows):
        raise CompileError(f"the labels are of different lengths; expected {classes} numbers for each photo")
    return np.asarray((probabilities >= THRESHOLD) == (np.stack(rows) >= THRESHOLD))


def logit_error(reference: np.ndarray, candidate: np.ndarray) -> float:
    """‖c - r‖ / ‖r‖ of the centred log-probabilities, which for a softmax are the centred logits."""
    r, c = _centred(reference), _centred(candidate)
    norm = float(np.linalg.norm(r))
    return float(np.linalg.norm(c - r)) / norm if norm else 0.0


def _centred(answers: np.ndarray) -> np.ndarray:
    """Of probabilities their logarithms; a model that answers with logits is taken at its word."""
    logits = answers.astype(np.float64)
    if logits.min() >= 0 and logits.max() <= 1:
        logits = np.log(np.maximum(logits, _LEAST))
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))
