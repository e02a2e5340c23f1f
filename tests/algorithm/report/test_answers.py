"""Answers are held against torch's own losses and softmax; the order that batches come in changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from darkroom.algorithm.report.answers import Answers


def filled(scores, labels, weights=None, size=3, seed=0):
    answers = Answers.none(len(scores), scores.shape[1])
    order = np.random.default_rng(seed).permutation(len(scores))
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        answers.add(batch, scores[batch], labels[batch], weights)
    return answers


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 1000), st.floats(0.1, 50))
def test_one_class_an_image_as_torch_computes_it(images, classes, seed, scale):
    draws = np.random.default_rng(seed)
    scores = (draws.standard_normal((images, classes)) * scale).astype(np.float32)
    labels = draws.integers(0, classes, images)
    answers = filled(scores, labels, seed=seed)
    chances = torch.from_numpy(scores).double().softmax(1).numpy()
    assert answers.rows[0].tolist() == scores.argmax(1).tolist()
    assert answers.rows[1] == pytest.approx(chances.max(1))
    losses = functional.cross_entropy(torch.from_numpy(scores).double(), torch.from_numpy(labels), reduction="none")
    assert answers.rows[3].tolist() == labels.tolist()
    assert answers.rows[2] == pytest.approx(losses.numpy(), abs=1e-9)
    assert answers.loss == pytest.approx(float(losses.mean()), abs=1e-9)


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 1000), st.booleans())
def test_several_classes_an_image_as_torch_computes_it(images, classes, seed, weighted):
    draws = np.random.default_rng(seed)
    scores = draws.standard_normal((images, classes)).astype(np.float32) * 4
    labels = draws.integers(0, 2, (images, classes)).astype(np.float32)
    weights = draws.uniform(0.1, 5, classes) if weighted else None
    answers = filled(scores, labels, weights, seed=seed)
    losses = functional.binary_cross_entropy_with_logits(
        torch.from_numpy(scores).double(),
        torch.from_numpy(labels).double(),
        pos_weight=None if weights is None else torch.from_numpy(weights),
    )
    assert answers.loss == pytest.approx(float(losses))
    wrong = np.abs(torch.from_numpy(scores).double().sigmoid().numpy() - labels)  # what the wrong side was given
    assert answers.rows[0].tolist() == wrong.argmax(1).tolist()
    assert answers.rows[1] == pytest.approx(wrong.max(1))
    assert answers.rows[3].tolist() == labels[np.arange(images), wrong.argmax(1)].tolist()
    said = scores > 0
    for row, expected in zip(answers.counts, (said * labels, said * (1 - labels), ~said * labels), strict=True):
        assert row.tolist() == expected.sum(0).tolist()


def test_images_that_were_never_answered_count_nowhere():
    answers = Answers.none(5, 2)
    assert answers.loss is None
    assert not len(answers.known)
    answers.add(np.array([1, 3]), np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1]), None)
    assert answers.known.tolist() == [1, 3]
    assert answers.loss == pytest.approx((np.log(1 + np.exp(-2)) + np.log(2)) / 2)


def test_a_network_that_diverged_is_answered_with_no_number():
    answers = Answers.none(1, 3)
    answers.add(np.array([0]), np.full((1, 3), np.nan, np.float32), np.array([2]), None)
    assert answers.known.tolist() == [0]
    assert np.isnan(answers.loss)
