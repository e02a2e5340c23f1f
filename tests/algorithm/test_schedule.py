"""Learning rate, kept epochs, patience: closed forms and tables."""

import pytest

from darkroom.algorithm import schedule
from darkroom.algorithm.hyperparameters import parse


def values(**given):
    return parse({"num_classes": "10"} | {name: str(value) for name, value in given.items()})


def test_learning_rate_drops_at_the_first_update_after_each_step():
    v = values(learning_rate=0.5, lr_scheduler_factor=0.1, lr_scheduler_step="2,5")
    rates = [schedule.learning_rate(v, 3, update) for update in (1, 6, 7, 15, 16, 100)]  # steps after updates 6 and 15
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005, 0.005])


def test_learning_rate_is_constant_without_steps():
    assert {schedule.learning_rate(values(learning_rate=0.3), 3, update) for update in range(1, 50)} == {0.3}


def test_the_partial_batch_is_left_out():
    assert [schedule.batches_per_epoch(*pair) for pair in ((15420, 128), (84, 5), (2500, 128), (606, 128))] == [
        120,
        16,
        19,
        4,
    ]


def test_only_a_strictly_better_epoch_is_kept():
    accuracies = [0.2, 0.5, 0.5, 0.4, 0.6]
    assert [schedule.is_kept(values(), e, a, accuracies[:e]) for e, a in enumerate(accuracies)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_an_accuracy_of_zero_is_better_than_nothing():
    assert schedule.is_kept(values(), 0, 0.0, [])


def test_without_validation_the_last_epoch_is_kept():
    assert [schedule.is_kept(values(epochs=3), epoch, None, []) for epoch in range(3)] == [False, False, True]


def test_checkpoint_frequency_keeps_every_so_many():
    v = values(epochs=6, checkpoint_frequency=2)
    assert [epoch + 1 for epoch in range(6) if schedule.is_kept(v, epoch, 0.1, [0.9])] == [2, 4, 6]


def stops_after(accuracies, **given):
    v = values(early_stopping="True", **given)
    return next((n for n in range(1, len(accuracies) + 1) if schedule.patience_is_over(v, accuracies[:n])), None)


def test_patience():
    flat = [0.5] * 30
    assert stops_after(flat, early_stopping_min_epochs=1, early_stopping_patience=3) == 4
    assert stops_after(flat, early_stopping_min_epochs=10, early_stopping_patience=3) == 10
    assert stops_after([k / 30 for k in range(30)], early_stopping_min_epochs=1, early_stopping_patience=2) is None
    assert not schedule.patience_is_over(values(), flat)


def test_improvement_below_the_tolerance_does_not_count():
    slow = [0.5 + 0.001 * k for k in range(30)]
    assert stops_after(slow, early_stopping_min_epochs=1, early_stopping_patience=3, early_stopping_tolerance=0.1) == 4
    assert stops_after(slow, early_stopping_min_epochs=1, early_stopping_patience=3) is None
