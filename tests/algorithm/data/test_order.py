"""Orders are permutations, the same for the same seed and epoch; batches have the size that was asked for."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.algorithm.data import order

COUNTS = st.integers(1, 200)


@given(COUNTS, st.integers(0, 2**32), st.integers(0, 1000))
def test_an_epoch_sees_every_image_once(samples, seed, epoch):
    assert sorted(order.epoch_order(samples, seed, epoch)) == list(range(samples))


def test_order_depends_on_seed_and_epoch_alone():
    first = order.epoch_order(50, 3, 4).tolist()
    assert first == order.epoch_order(50, 3, 4).tolist()
    assert first != order.epoch_order(50, 3, 5).tolist()
    assert first != order.epoch_order(50, 4, 4).tolist()


@given(COUNTS, st.integers(1, 40))
def test_the_partial_batch_is_left_out_of_training(samples, size):
    batches = order.epoch_batches(samples, size, samples // size, 0, 0)
    assert batches.shape == (samples // size, size)
    assert len(np.unique(batches)) == batches.size


def test_more_batches_than_images_begin_again():
    batches = order.epoch_batches(5, 4, 3, 0, 0)
    assert sorted(np.bincount(batches.ravel())) == [2, 2, 2, 3, 3]


@given(COUNTS, st.integers(1, 40))
def test_validation_sees_every_image_once_in_order(samples, size):
    batches = order.in_turn(samples, size)
    assert np.concatenate(batches).tolist() == list(range(samples))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert 1 <= len(batches[-1]) <= size


def test_draws_of_an_image_do_not_depend_on_its_batch():
    assert order.draws(1, 2, 3).random() == order.draws(1, 2, 3).random() != order.draws(1, 2, 4).random()


# As MXNet 1.9.1 counts them, and the denominators of Amazon's own logs: images, batch size, batches of each pass.
WRAPPED = [
    (36, 5, [7, 7, 7, 7, 8, 7]),
    (469, 128, [4, 3, 4, 4, 3, 4]),
    (20, 4, [5, 5, 5, 5, 5, 5]),
    (67, 4, [17, 17, 16, 17, 17, 17]),
    (69, 4, [18, 17, 17, 17, 18, 17]),
    (100, 6, [17, 16, 17, 17, 16, 17]),
    (1001, 32, [32, 31, 31, 32, 31, 31]),
    (300, 32, [9, 10, 9, 9, 10, 9]),
    (15187, 32, [475, 475, 474, 475, 474, 475, 475, 474, 475, 474]),
    (2500, 128, [20, 20, 19]),
]


@pytest.mark.parametrize(("samples", "size", "batches"), WRAPPED)
def test_strict_validation_wraps_round_as_mxnets_does(samples, size, batches):
    passes = [order.wrapped(samples, size, epoch) for epoch in range(len(batches))]
    assert [len(positions) // size for positions in passes] == batches
    for positions, after in pairwise(passes):
        assert np.array_equal(np.diff(positions) % samples, np.ones(len(positions) - 1))
        assert after[0] == (positions[-1] + 1) % samples  # goes on where it was, so all count equally often at last


@given(COUNTS, st.integers(1, 300), st.integers(0, 5))
def test_a_wrapped_pass_is_whole_batches_and_shows_what_was_not_shown_before(samples, size, epoch):
    positions = order.wrapped(samples, size, epoch)
    assert len(positions) % size == 0
    assert positions[0] == 0 or len(positions) >= samples - positions[0]
    assert samples - 1 in positions
