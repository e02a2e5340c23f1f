"""The random draws of augmentation_type and of MXNet 1.9.1's ImageRecordIter at its levels: the same distributions.

Pictures that tell what was done to them: colours say where a pixel came from, or the picture has but one."""

import json

import cv2
import numpy as np
import pytest

from darkroom.algorithm.data import augment
from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter

pytestmark = pytest.mark.clients

COUNT, LARGE, SIDE = 1500, 60, 44
APART = 2.23 * (2 / COUNT) ** 0.5  # of two distribution functions: chance goes so far once in ten thousand (Smirnov)
CROP = {"rand_crop": True, "rand_mirror": True}
COLOUR = {"max_random_h": 36, "max_random_s": 50, "max_random_l": 50, "random_h": 36, "random_s": 50, "random_l": 50}
TRANSFORM = {"max_rotate_angle": 10, "max_shear_ratio": 0.1, "max_aspect_ratio": 0.25}
SPREAD = 0.08  # of two deviations: four of its own


def places() -> np.ndarray:
    """Red says the column, green the row; blue is 0, as it is nowhere outside of the picture."""
    rows, columns = np.mgrid[:LARGE, :LARGE]
    return np.stack([4 * columns, 4 * rows, 0 * rows], axis=2).astype(np.uint8)


def flat() -> np.ndarray:
    return np.full((LARGE, LARGE, 3), (80, 150, 160), np.uint8)


@pytest.fixture
def theirs(mxnet, tmp_path):
    def run(picture: np.ndarray, options: dict) -> np.ndarray:
        data = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        with RecordWriter(tmp_path / "picture.rec") as writer:
            for k in range(COUNT):
                writer.write(pack_image(ImageHeader(np.zeros(1), k), data), k)
        mxnet("augment", "picture", SIDE, json.dumps(options))
        return np.load(tmp_path / "picture.npy")

    return run


def ours(picture: np.ndarray, step) -> np.ndarray:
    return np.stack([step(picture, np.random.default_rng((3, k))) for k in range(COUNT)])


def drawn_alike(ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    values = np.union1d(ours, theirs)
    below = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (ours, theirs)]
    spread = np.std(ours) / np.std(theirs)
    told = [f"{np.mean(x):.4g} ± {np.std(x):.4g} in {np.min(x):.4g} … {np.max(x):.4g}" for x in (ours, theirs)]
    alike = np.abs(below[0] - below[1]).max() < APART and abs(spread - 1) < SPREAD
    assert alike, f"{what}: ours {told[0]}, MXNet's {told[1]}"


def crops(images: np.ndarray) -> dict[str, np.ndarray]:
    left, right = images[:, 0, 0, 0].astype(int), images[:, 0, -1, 0].astype(int)
    return {"column": np.minimum(left, right) // 4, "row": images[:, 0, 0, 1] // 4, "mirrored": left > right}


def test_crops_and_mirrors(theirs):
    def step(image, draws):
        return augment.augment(image, "crop", SIDE, SIDE, draws)

    ours_are, theirs_are = crops(ours(places(), step)), crops(theirs(places(), CROP))
    for what in ours_are:
        drawn_alike(ours_are[what], theirs_are[what], what)


def test_colours(theirs):
    mine = ours(flat(), lambda image, draws: augment.jitter(image[:SIDE, :SIDE], draws))
    others = theirs(flat(), COLOUR)
    hls = [np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2HLS)[0, 0] for image in images]) for images in (mine, others)]
    for column, what in enumerate(("hue", "lightness", "saturation")):
        drawn_alike(hls[0][:, column], hls[1][:, column], what)


def maps(images: np.ndarray) -> dict[str, np.ndarray]:
    """How a step to the next column and one to the next row lie in the source: lengths, direction, angle between."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    steps = []
    for image in images.astype(float):
        inside = image[..., 2] == 0
        grid = np.stack([columns[inside], rows[inside], np.ones(inside.sum())], axis=1)
        steps.append(np.linalg.lstsq(grid, image[inside][:, :2] / 4, rcond=None)[0][:2])
    across, down = np.array(steps).transpose(1, 0, 2)
    wide, tall = np.linalg.norm(across, axis=1), np.linalg.norm(down, axis=1)
    turn, skew = np.arctan2(across[:, 1], across[:, 0]), (across * down).sum(axis=1) / (wide * tall)
    return {"width": wide, "height": tall, "turn": turn, "skew": skew}


def test_turns_shears_and_aspect_ratios(theirs):
    def step(image, draws):
        return augment.random_crop(augment.warp(image, draws), SIDE, SIDE, draws)

    mine, others = maps(ours(places(), step)), maps(theirs(places(), TRANSFORM | {"rand_crop": True}))
    for what in mine:
        drawn_alike(mine[what], others[what], what)
