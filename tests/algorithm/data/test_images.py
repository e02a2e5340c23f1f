"""Sets of images and batches of them: decoded once where memory allows, broken ones found, little read ahead."""

import logging

import numpy as np
import pytest

from darkroom.algorithm.data.images import ImageSet, Memory, median_shorter_side, unreadable
from darkroom.algorithm.data.pipeline import batches
from darkroom.algorithm.data.views import centre, one_by_one
from darkroom.imaging.decode import BadImage
from tests.algorithm.jobs import jpeg


class Numbers:
    """Samples whose bytes say their position."""

    def __init__(self, count):
        self.labels = [np.float32([k]) for k in range(count)]
        self.reads = []

    def __len__(self):
        return len(self.labels)

    def read(self, position):
        self.reads.append(position)
        return bytes([position])

    def name(self, position):
        return f"number {position}"


def pixels(data):
    if data[0] % 10 == 7:
        raise BadImage("sevens are broken")
    return np.full((2, 2, 1), data[0], np.uint8)


def image_set(count=20, memory_bytes=10**6):
    samples = Numbers(count)
    return ImageSet.of(samples, np.arange(count) * 2, pixels, Memory(memory_bytes)), samples


def test_decoded_once_where_memory_allows():
    images, samples = image_set()
    assert unreadable(images, 2) == {7: "sevens are broken", 17: "sevens are broken"}
    for k in (0, 1, 0):
        assert images.pixels(k)[0, 0, 0] == k
    assert sorted(samples.reads) == list(range(20))


def test_decoded_again_where_memory_does_not():
    images, samples = image_set(memory_bytes=8)  # two pictures of four bytes
    for _ in range(2):
        for k in range(4):
            images.pixels(k)
    assert samples.reads == [0, 1, 2, 3, 2, 3]


def test_no_time_no_check():
    images, samples = image_set()
    assert unreadable(images, 2, seconds=-1) == {}
    assert samples.reads == []


def test_what_is_left_keeps_its_classes_names_and_pixels():
    images, _ = image_set()
    left = images.without([7, 17])
    assert (len(left), left.classes.tolist()[7], left.name(7), left.pixels(7)[0, 0, 0]) == (18, 16, "number 8", 8)


SHAPE = 2, 2, 1


def test_batches_come_in_order_with_their_labels():
    images, _ = image_set()

    orders = np.array([[3, 1], [0, 2], [5, 4]])
    out = list(batches(images, orders, one_by_one(lambda k: images.pixels(k) + k), SHAPE, threads=2))
    assert [batch.images[:, 0, 0, 0].tolist() for batch in out] == [[6, 2], [0, 4], [10, 8]]
    assert [batch.labels.tolist() for batch in out] == [[6, 2], [0, 4], [10, 8]]
    assert out[0].images.shape == (2, 2, 2, 1)


def test_broken_images_are_named_and_left_out_of_their_batch(caplog):
    images, _ = image_set()
    logging.getLogger("darkroom.algorithm").propagate = True
    out = list(batches(images, np.array([[6, 7, 8], [7, 17, 7]]), centre(images), SHAPE, threads=1))
    assert [batch.order.tolist() for batch in out] == [[6, 8], []]
    assert "Left out of its batch: number 7: sevens are broken" in caplog.messages


def test_only_a_few_batches_wait():
    images, samples = image_set(200, memory_bytes=0)
    stream = batches(images, np.arange(10, 16).reshape(-1, 1).repeat(20, 0), centre(images), SHAPE, threads=2)
    next(stream)
    stream.close()
    assert len(samples.reads) <= 5


def test_a_fault_in_a_thread_reaches_the_loop():
    images, _ = image_set()

    def broken(order, out):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(batches(images, np.array([[0, 1]]), broken, SHAPE, threads=2))


def test_median_of_the_shorter_sides():
    class Photos(Numbers):
        def read(self, position):
            return [jpeg(0, 0, 30, 99), jpeg(0, 0, 80, 50), jpeg(0, 0, 64, 64), b"broken"][position]

    assert median_shorter_side(Photos(4)) == 50
    assert median_shorter_side(Numbers(3)) == 0
