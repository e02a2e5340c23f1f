import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from darkroom.imaging.decode import BadImage, decode
from darkroom.imaging.shrink import shrink


def photo(height: int, width: int, kind: str = "JPEG", **options) -> bytes:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([255 * rows / height, 255 * columns / width, np.full((height, width), 80)], axis=-1)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def size(data: bytes) -> tuple[int, int]:
    return simplejpeg.decode_jpeg_header(data)[:2]


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(400, 600, (100, 150)), (1210, 400, (302, 100)), (101, 101, (100, 100))]
)
def test_the_shorter_side_is_as_asked_and_the_longer_rounded_down(height, width, expected):
    assert size(shrink(photo(height, width), 100)) == expected


def test_small_upright_jpegs_stay_as_they_are():
    data = photo(100, 300)
    assert shrink(data, 100) is data


def test_small_pictures_of_other_kinds_become_jpeg_and_are_not_enlarged():
    assert size(shrink(photo(50, 70, "PNG"), 100)) == (50, 70)


def test_the_cameras_turn_is_done_in_the_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    turned = shrink(photo(60, 80, exif=exif, quality=95), 100, quality=95)
    assert size(turned) == (80, 60)
    assert shrink(turned, 100) is turned
    pixels = decode(turned).astype(int)
    assert pixels[40, 5, 0] > 200 > 60 > pixels[40, 55, 0]  # red grew downwards; after the turn it grows to the left


def test_quality_costs_bytes():
    assert len(shrink(photo(400, 400), 200, quality=30)) < len(shrink(photo(400, 400), 200, quality=95))


def test_what_is_no_photo_is_refused():
    with pytest.raises(BadImage, match="not an image"):
        shrink(b"no photo", 100)
