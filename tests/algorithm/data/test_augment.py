"""Augmentation: sizes, bounds, which draws do what; the affine map against an image whose answer is known."""

import cv2
import numpy as np
import pytest

from darkroom.algorithm.data import augment


class Draws:
    """A generator whose draws are told."""

    def __init__(self, *, integers=0, uniform=0.0, random=0.0):
        self.told = {"integers": integers, "uniform": uniform, "random": random}

    def integers(self, low, high=None):
        return self.told["integers"]

    def uniform(self, low, high):
        return self.told["uniform"] if low < 0 else 1.0  # shear as told, aspect ratio 1

    def random(self, size=None):
        return self.told["random"] if size is None else np.full(size, self.told["random"])


def picture(height=40, width=50, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["crop", "crop_color", "crop_color_transform"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_gives_the_size_of_the_network(kind, channels):
    draws = np.random.default_rng(1)
    for _ in range(20):
        out = augment.augment(picture(channels=channels), kind, 28, 30, draws)
        assert (out.shape, out.dtype) == ((28, 30, channels), np.uint8)


def test_crop_is_a_window_of_the_picture_or_its_mirror():
    image = picture()
    windows = {
        image[top : top + 38, left : left + 48][:, ::step].tobytes()
        for top in range(3)
        for left in range(3)
        for step in (1, -1)
    }
    draws = np.random.default_rng(2)
    seen = {augment.augment(image, "crop", 38, 48, draws).tobytes() for _ in range(300)}
    assert seen == windows  # nothing else, and all of them


def test_picture_of_the_very_size():
    image = picture(28, 28)
    assert augment.random_crop(image, 28, 28, np.random.default_rng(0)).tobytes() == image.tobytes()


def test_warp_without_angle_shear_or_aspect_changes_nothing():
    image = picture()
    assert augment.warp(image, Draws()).tobytes() == image.tobytes()


def test_warp_turns_about_the_centre_and_fills_with_white():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 200
    out = augment.warp(image, Draws(integers=10))
    assert out[0, 0].tolist() == [255, 255, 255]
    bright = np.where(out[5:36, 5:36, 0] > 60)
    assert np.abs(np.mean(bright, axis=1) - 15).max() <= 1


def test_jitter_stays_within_its_bounds():
    grey = np.full((4, 4, 3), 128, np.uint8)
    for told in (0.0, 0.5, 0.999999):
        hls = cv2.cvtColor(augment.jitter(grey, Draws(random=told)), cv2.COLOR_RGB2HLS)
        assert abs(int(hls[0, 0, 1]) - 128) <= augment.MAX_LIGHTNESS + 1
    assert augment.jitter(grey, Draws(random=0.5)).tobytes() == grey.tobytes()


def test_shift_is_the_weighted_draw_cut_to_whole_numbers():
    class Two:
        def random(self, size):
            return np.array([0.1, 0.9])

    assert augment._shift(50, Two()) == int((0.1 + 4 * 0.9) / 5 * 100 - 50)


def test_grey_pictures_have_no_colour_to_shift():
    image = picture(channels=1)
    assert augment.jitter(image, np.random.default_rng(0)) is image
