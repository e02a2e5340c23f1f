"""Verdicts, by numbers one can check by hand."""

import numpy as np
import pytest

from darkroom.compiler import guard
from darkroom.compiler.errors import CompileError


def answers(right: list[bool], classes: int = 3) -> np.ndarray:
    """Probabilities where class 0 is true: right ones say 0, wrong ones 1."""
    table = np.full((len(right), classes), 0.1)
    table[np.arange(len(right)), [0 if r else 1 for r in right]] = 0.8
    return table


def verdict(lost: int, gained: int, same: int, tolerance: float = 0.1) -> guard.Verdict:
    before = [True] * lost + [False] * gained + [True] * same
    after = [False] * lost + [True] * gained + [True] * same
    return guard.judge(answers(before), answers(after), [0] * len(before), tolerance)


@pytest.mark.parametrize(
    ("lost", "gained", "same", "accepted"),
    [
        (0, 0, 50, True),
        (1, 0, 50, True),  # one photo of fifty is two points, and no evidence
        (2, 0, 50, False),
        (2, 1, 50, True),
        (3, 0, 5000, True),  # 0.06 points
        (9, 3, 5000, False),  # 0.12 points, and unlikely to be chance
        (50, 48, 500, True),  # 0.3 points, and likely to be
        (0, 7, 50, True),
    ],
)
def test_what_is_accepted(lost, gained, same, accepted):
    v = verdict(lost, gained, same)
    assert (v.accepted, v.lost, v.gained, v.photos) == (accepted, lost, gained, lost + gained + same)
    assert v.accuracy_reference == pytest.approx((lost + same) / v.photos)
    assert v.accuracy == pytest.approx((gained + same) / v.photos)


def test_a_tolerance_is_in_points():
    assert not verdict(4, 0, 96, tolerance=3.9).accepted
    assert verdict(4, 0, 96, tolerance=4).accepted


def test_the_reason_says_the_numbers():
    assert verdict(2, 0, 48).reason == (
        "4.00 points were lost and 0.1 may be; of 2 answers that differ 2 were lost, which chance alone would do with "
        "25% (exact sign test; from 30% it is none)"
    )


@pytest.mark.parametrize(("lost", "gained", "chance"), [(0, 0, 1), (1, 0, 0.5), (3, 1, 5 / 16), (600, 0, 2.0**-600)])
def test_the_sign_test_is_exact(lost, gained, chance):
    assert guard.sign_test(lost, gained) == pytest.approx(chance, rel=1e-9)


def test_without_labels_one_in_a_hundred_may_change():
    before = answers([True] * 300)
    for changed, accepted in ((3, True), (4, False)):
        after = answers([False] * changed + [True] * (300 - changed))
        v = guard.judge(before, after, None, 0.1)
        assert (v.accepted, v.accuracy, round(v.agreement, 4)) == (accepted, None, round(1 - changed / 300, 4))


def test_several_labels_count_one_by_one():
    before = np.array([[0.9, 0.2], [0.8, 0.7]])
    after = np.array([[0.9, 0.6], [0.8, 0.7]])
    v = guard.judge(before, after, [np.array([1, 0]), np.array([1.0, 1.0])], 0.1)
    assert (v.accuracy_reference, v.accuracy, v.lost, v.gained) == (1.0, 0.75, 1, 0)


def test_nan_is_never_accepted():
    before = answers([True] * 4)
    v = guard.judge(before, np.full_like(before, np.nan), [0] * 4, 100)
    assert (v.accepted, v.reason) == (False, "it answers NaN or infinity")


def test_the_logit_error_does_not_see_what_a_softmax_does_not():
    logits = np.array([[1.0, 2.0, -3.0], [0.5, 0.0, 4.0]])
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    moved = logits * 1.01
    other = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
    assert guard.logit_error(softmax, other) == pytest.approx(0.01)
    assert guard.logit_error(softmax, softmax) == 0


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([3, 0], "a label is 3; the model has the classes 0 to 2"), ([np.ones(2), np.ones(3)], "expected 3 numbers")],
)
def test_labels_that_do_not_fit_are_named(labels, reason):
    with pytest.raises(CompileError, match=reason):
        guard.judge(answers([True, True]), answers([True, True]), labels, 0.1)
