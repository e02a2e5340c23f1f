"""Orders are permutations, the same for the same seed and epoch; batches have the size that was asked for."""

import numpy as np
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
