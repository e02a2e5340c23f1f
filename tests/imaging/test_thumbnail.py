"""Thumbnails are whole, small, upright pictures, of whatever can be decoded."""

import io

import numpy as np
import pytest
from PIL import Image

from darkroom.imaging.decode import BadImage
from darkroom.imaging.thumbnail import SIDE, thumbnail
from tests.imaging.pictures import exif, file_of, scene


def shown(data: bytes, side: int = SIDE) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail(data, side)))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(600, 800, (128, 96)), (800, 600, (96, 128)), (40, 30, (30, 40)), (128, 128, (128, 128)), (4, 2000, (128, 1))],
)
def test_the_longer_side_fits_and_nothing_is_enlarged(height, width, expected):
    assert shown(file_of(scene(height, width), "PNG")).size == expected


def test_it_is_the_whole_picture_upright():
    picture = scene(240, 320)
    small = np.asarray(shown(file_of(picture, "JPEG", quality=95)), np.int16)
    expected = np.asarray(Image.fromarray(picture[..., :2].mean(-1).astype(np.uint8)).resize((128, 96)), np.int16)
    assert np.abs(small[..., :2].mean(-1) - expected).mean() < 6
    assert shown(file_of(picture, "JPEG", exif=exif(6))).size == (96, 128)


def test_what_is_no_picture_is_refused():
    with pytest.raises(BadImage):
        thumbnail(b"no picture")
