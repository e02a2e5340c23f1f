"""Standings are recounted the slow way, image by image."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from darkroom.algorithm.report.answers import Answers
from darkroom.algorithm.report.standing import confused, matrix, mistakes, standings

SETS = st.tuples(st.integers(1, 7), st.integers(0, 60), st.integers(0, 1000))


def answered(classes, images, seed, several=False):
    """Answers and labels; one image in five was not answered."""
    draws = np.random.default_rng(seed)
    scores = draws.standard_normal((images, classes)) * 3
    labels = (
        draws.integers(0, 2, (images, classes)).astype(np.float32) if several else draws.integers(0, classes, images)
    )
    order = np.flatnonzero(draws.random(images) < 0.8)
    answers = Answers.none(images, classes)
    answers.add(order, scores[order], labels[order], None)
    return answers, labels, scores, order


@given(SETS)
def test_one_class_an_image(size):
    classes, images, seed = size
    answers, labels, scores, order = answered(classes, images, seed)
    pairs = Counter((int(labels[k]), int(scores[k].argmax())) for k in order)
    assert matrix(answers, classes).tolist() == [[pairs[a, b] for b in range(classes)] for a in range(classes)]
    for label, row in enumerate(standings(answers, classes, several=False)):
        own = [int(scores[k].argmax()) for k in order if labels[k] == label]
        named = sum(scores[k].argmax() == label for k in order)
        assert (row.images, row.right, row.named) == (len(own), own.count(label), named)
        assert row.recall == (own.count(label) / len(own) if own else None)
        assert row.precision == (own.count(label) / named if named else None)
        others = [name for name in own if name != label]
        assert (row.taken_for is None) == (not others)
        if others:
            assert others.count(row.taken_for) == max(others.count(name) for name in others)


@given(SETS)
def test_pairs_come_by_how_often_they_are_confused(size):
    classes, images, seed = size
    answers, labels, scores, order = answered(classes, images, seed)
    found = confused(answers)
    wrong = Counter((int(labels[k]), int(scores[k].argmax())) for k in order if scores[k].argmax() != labels[k])
    assert {(pair.true, pair.named): pair.count for pair in found} == wrong
    assert [pair.count for pair in found] == sorted((pair.count for pair in found), reverse=True)
    totals = Counter(int(labels[k]) for k in order)
    assert all(pair.share == pair.count / totals[pair.true] for pair in found)


@given(SETS)
def test_mistakes_come_by_confidence_and_only_wrong_answers_are_there(size):
    classes, images, seed = size
    answers, labels, scores, order = answered(classes, images, seed)
    found = mistakes(answers, several=False, most=10)
    wrong = [k for k in order if scores[k].argmax() != labels[k]]
    assert len(found) == min(10, len(wrong))
    sure = {k: np.exp(scores[k].max()) / np.exp(scores[k]).sum() for k in wrong}
    assert {mistake.k for mistake in found} <= set(wrong)
    assert np.allclose([mistake.probability for mistake in found], sorted(sure.values(), reverse=True)[: len(found)])
    assert all((it.true, it.named) == (labels[it.k], scores[it.k].argmax()) for it in found)


@given(SETS)
def test_several_classes_an_image(size):
    classes, images, seed = size
    answers, labels, scores, order = answered(classes, images, seed, several=True)
    for label, row in enumerate(standings(answers, classes, several=True)):
        has, said = labels[order, label] > 0.5, scores[order, label] > 0
        assert (row.images, row.right, row.named) == (has.sum(), (has & said).sum(), said.sum())
        both = row.images + row.named
        assert row.f1 == (2 * row.right / both if both else None)
    for it in mistakes(answers, several=True):
        assert it.has == (labels[it.k, it.named] == 1)
        assert (scores[it.k, it.named] > 0) != it.has
        assert it.probability > 0.5


def test_a_network_that_diverged_has_no_mistakes_to_look_at():
    answers = Answers.none(2, 3)
    answers.add(np.array([0, 1]), np.full((2, 3), np.nan), np.array([1, 2]), None)
    assert mistakes(answers, several=False) == []
    assert [row.right for row in standings(answers, 3, several=False)] == [0, 0, 0]
