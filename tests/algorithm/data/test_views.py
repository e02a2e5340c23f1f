"""What the network sees of an image in an epoch: cut where the draws say, at the size the preprocessing says."""

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from darkroom.algorithm.data.images import ImageSet, Memory
from darkroom.algorithm.data.order import draws
from darkroom.algorithm.data.views import augmented, random_crop, random_resized_crop
from darkroom.imaging.decode import BadImage
from darkroom.imaging.preprocess import Preprocess

sides = st.integers(1, 3000)


def gradient(height, width):
    """Red tells the row, green the column."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, x * 0], axis=2).astype(np.uint8)


class Photos:
    def __init__(self, *pictures):
        self.files = [
            simplejpeg.encode_jpeg(np.ascontiguousarray(one), quality=99, colorsubsampling="444") for one in pictures
        ]
        self.labels = [np.float32([0])] * len(pictures)

    def __len__(self):
        return len(self.files)

    def read(self, position):
        return self.files[position]

    def name(self, position):
        return str(position)


PREPROCESS = Preprocess(32, 32, 3, 40)


def view(kind, epoch=0, k=0, seed=0, preprocess=PREPROCESS):
    images = ImageSet.of(Photos(*[gradient(80, 120)] * (k + 1)), np.zeros(k + 1), preprocess.resized, Memory(0))
    out = np.zeros((1, *preprocess.shape), np.uint8)
    assert augmented(images, preprocess, kind, seed, epoch)(np.array([k]), out) == {}
    return out[0]


@pytest.mark.parametrize("kind", ["crop", "crop_color", "crop_color_transform"])
def test_draws_are_the_images_own(kind):
    assert np.array_equal(view(kind), view(kind))
    others = [view(kind, epoch=1), view(kind, k=1), view(kind, seed=1)]
    assert all(not np.array_equal(view(kind), other) for other in others)


@pytest.mark.parametrize("kind", ["crop", "crop_color"])
def test_what_cannot_be_read_is_told_by_its_place_and_the_others_are_cut(kind):
    class Holes(Photos):
        def read(self, position):
            if position % 20 == 3:
                raise FileNotFoundError(position)
            return b"no picture" if position % 20 == 5 else super().read(position)

    photos = Holes(*[gradient(80, 120)] * 50)
    images = ImageSet.of(photos, np.zeros(50), PREPROCESS.resized, Memory(0))
    order = np.arange(49, -1, -1)
    out = np.zeros((50, *PREPROCESS.shape), np.uint8)
    failed = augmented(images, PREPROCESS, kind, 0, 0)(order, out)
    assert {int(order[place]): type(error) for place, error in failed.items()} == {
        k: FileNotFoundError if k % 20 == 3 else BadImage for k in (3, 5, 23, 25, 43, 45)
    }
    assert all(place in failed or np.array_equal(out[place], view(kind, k=k)) for place, k in enumerate(order))


def test_a_crop_shows_its_share_of_the_picture_and_both_directions():
    directions = set()
    for epoch in range(12):
        out = view("crop", epoch=epoch).astype(int)
        down, right = out[-1, 16, 0] - out[0, 16, 0], out[16, -1, 1] - out[16, 0, 1]
        assert 190 <= down <= 206  # 31 of 40 rows
        assert 126 <= abs(right) <= 137  # 31 of 60 columns
        directions.add(right > 0)
    assert directions == {True, False}


def test_colours_move_together():
    shifts = view("crop_color", epoch=3).astype(int) - view("crop", epoch=3)
    assert np.abs(shifts).mean() > 1


@given(height=sides, width=sides, epoch=st.integers(0, 99))
def test_crops_lie_inside_the_picture(height, width, epoch):
    for box, _ in (
        random_crop(height, width, PREPROCESS, draws(0, epoch, 0)),
        random_resized_crop(height, width, draws(0, epoch, 0)),
    ):
        assert box.top >= 0
        assert box.left >= 0
        assert 0 < box.height <= height - box.top + 1e-6
        assert 0 < box.width <= width - box.left + 1e-6


def test_random_resized_crops_have_the_areas_and_ratios_asked_for():
    boxes = [random_resized_crop(600, 800, draws(0, 0, k))[0] for k in range(2000)]
    shares = np.array([box.height * box.width / 480_000 for box in boxes])
    ratios = np.array([box.width / box.height for box in boxes])
    assert 0.079 < shares.min() < 0.1
    assert 0.41 < shares.mean() < 0.47  # of uniform(0.08, 1); large boxes of odd ratios do not fit and are drawn again
    assert 0.74 < ratios.min() < 0.77
    assert 1.3 < ratios.max() < 1.34
