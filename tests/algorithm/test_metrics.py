"""Accuracy, top-k, several labels, and the weights of rare ones, against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from darkroom.algorithm.metrics import Tally, positive_weights, verdicts_of

LOGITS = torch.tensor([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])


def test_accuracy_and_top_k_add_up_over_batches():
    tally = Tally(top_k=2)
    tally.add(LOGITS[:1], torch.tensor([0]))
    tally.add(LOGITS[1:], torch.tensor([2, 2, 1]))
    assert tally.values() == {"accuracy": 0.5, "top_k_accuracy_2": 0.75}
    assert not tally.diverged


def test_several_labels_count_each_class():
    tally = Tally()
    tally.add(torch.tensor([[1.0, -1.0, 2.0], [-1.0, -1.0, -1.0]]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert tally.values() == {"accuracy": pytest.approx(4 / 6)}


def test_answers_that_are_no_numbers():
    tally = Tally()
    tally.add(torch.tensor([[float("nan"), 1.0]]), torch.tensor([0]))
    assert tally.diverged


def test_nothing_counted_is_zero():
    assert Tally().values() == {"accuracy": 0.0}


def test_verdicts_of_each_image():
    assert verdicts_of(LOGITS, np.array([0, 2, 2, 1])).tolist() == [1, 0, 1, 0]
    rows = np.float32([[1, 1, 0], [0, 0, 0]])
    assert verdicts_of(torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]), rows).tolist() == pytest.approx(
        [2 / 3, 1]
    )


def test_rare_classes_weigh_more():
    assert positive_weights(torch.tensor([5, 1, 0, 10]), 10).tolist() == pytest.approx([1.0, 9.0, 1.0, 0.001])
