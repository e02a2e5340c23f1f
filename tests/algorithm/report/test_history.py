"""The history of a training, as the loop tells it."""

import numpy as np
import pytest

from darkroom.algorithm.report.history import History


def told(epochs, stored):
    history = History(2)
    for number in range(epochs):
        history.trained(number, {"accuracy": 0.5}, 0.7, 0.1, 3.0)
        history.validating(2)
        history.answered(np.array([0, 1]), np.array([[number, 0.0], [0.0, number]]), np.array([0, 0]))
        history.validated(0.5)
        if number in stored:
            history.stored()
    return history


def test_the_answers_are_those_of_the_model_stored_last():
    history = told(4, stored=(0, 2))
    assert [epoch.stored for epoch in history.epochs] == [True, False, True, False]
    assert history.answers is not None
    assert history.answers.rows[1] == pytest.approx(np.exp(2) / (np.exp(2) + 1))


def test_a_model_that_was_not_validated_has_no_answers():
    history = told(1, stored=(0,))
    history.trained(1, {"accuracy": 1.0}, 0.1, 0.1, 3.0)
    history.stored()
    assert history.answers is None
    assert history.epochs[1].validation_loss is None


def test_what_a_checkpoint_keeps_gives_the_same_history_back():
    history, again = told(3, stored=(1,)), History(2)
    again.restore(history.state())
    assert again.epochs == history.epochs
    assert again.answers is not None
    assert history.answers is not None
    assert again.answers.rows.tolist() == history.answers.rows.tolist()
    empty = History(2)
    empty.restore(History(2).state())
    assert empty.epochs == []
    assert empty.answers is None
