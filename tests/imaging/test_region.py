"""Regions cut by jpeg_region.c are those of the whole picture; what it does not take, and any bytes at all, end as they
do where it was not built."""

import contextlib
import io

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.imaging import region as regions
from darkroom.imaging.decode import BadImage
from darkroom.imaging.region import Box, picture_size, region

native = pytest.mark.skipif(not regions.is_native(), reason="jpeg_region.c was not built: there is no C compiler")


def smooth(height, width, channels=3):
    """A picture without edges: resampling it any good way gives nearly the same."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17 + c / 3) * 60 + np.cos(y / 23 - c / 3) * 50 + 128 for c in range(channels)]
    return np.stack(waves, axis=2).astype(np.uint8)


def jpeg(pixels, subsampling="420", quality=98):
    space = "GRAY" if pixels.shape[2] == 1 else "RGB"
    return simplejpeg.encode_jpeg(pixels, quality=quality, colorspace=space, colorsubsampling=subsampling)


def cut(data, box, height=40, width=56, mirror=False, channels=3):
    out = np.zeros((height, width, channels), np.uint8)
    region(data, lambda *_: (Box(*box), mirror), out)
    return out


@pytest.fixture
def slow_way(monkeypatch):
    def slowly(*arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(regions, "_native", lambda: None)
            return cut(*arguments, **options)

    return slowly


@native
@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 300, 420),
        (0, 0, 40, 56),
        (37.5, 81.25, 99.5, 200),
        (259, 363, 41, 57),
        (13, 7, 260, 90),
        (13, 7, 60, 400),
        (299, 419, 1, 1),
        (0, 0, 300, 5),
        (150, 210, 7, 9),
    ],
)
def test_a_region_is_that_of_the_whole_picture(slow_way, box, subsampling):
    data = jpeg(smooth(300, 420), subsampling)
    difference = np.abs(cut(data, box).astype(int) - slow_way(data, box))
    assert difference.mean() < 2.5  # chroma of 4:1:1 is coarse, and neighbours share it
    assert difference.max() < 12


@native
@pytest.mark.parametrize("size", [(920, 613), (1000, 1500), (33, 47), (16, 16), (1, 1), (1, 500), (500, 1)])
def test_pictures_of_any_size(slow_way, size):
    data = jpeg(smooth(*size))
    for box in [(0, 0, *size), (size[0] * 0.13, size[1] * 0.21, size[0] * 0.61, size[1] * 0.55)]:
        difference = np.abs(cut(data, box, 64, 48).astype(int) - slow_way(data, box, 64, 48))
        assert difference.mean() < 2


@native
def test_the_region_lies_where_it_should():
    data = jpeg(smooth(300, 420))
    whole = simplejpeg.decode_jpeg(data)
    assert np.abs(cut(data, (100, 60, 40, 56)).astype(int) - whole[100:140, 60:116]).max() <= 6  # its chroma is coarser
    mirrored = cut(data, (100, 60, 40, 56), mirror=True)
    assert np.array_equal(mirrored[:, ::-1], cut(data, (100, 60, 40, 56)))


NOISE = np.random.default_rng(0).integers(0, 256, (83, 101, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [5, 30, 75, 100])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 3}], ids=str)
@pytest.mark.parametrize(
    "pixels", [NOISE, NOISE[:, :, :1], smooth(83, 101), NOISE // 200 * 200], ids=lambda p: str(p.sum())
)
def test_at_its_own_size_a_picture_is_as_libjpeg_decodes_it(pixels, options, quality):
    more = {} if pixels.shape[2] == 1 else {"subsampling": "4:4:4"}
    data = encoded(pixels, "JPEG", quality=quality, **options, **more)
    whole = simplejpeg.decode_jpeg(data)
    assert np.array_equal(cut(data, (0, 0, 83, 101), 83, 101), whole)
    assert np.array_equal(cut(data, (40, 50, 20, 30), 20, 30), whole[40:60, 50:80])


def encoded(pixels, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, kind, **options)
    return stream.getvalue()


def exif(turn):
    tags = Image.Exif()
    tags[0x0112] = turn
    return tags.tobytes()


UNUSUAL = {
    "progressive": encoded(smooth(60, 90), "JPEG", quality=98, progressive=True),
    "png": encoded(smooth(60, 90), "PNG"),
    "gray": jpeg(smooth(60, 90, 1)),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_pictures_are_cut_all_the_same(name):
    data = UNUSUAL[name]
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[10:50, 20:76, ::-1]
    assert picture_size(data) == (60, 90)
    assert np.abs(cut(data, (10, 20, 40, 56)).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photo_is_turned_upright_first(turn):
    data = encoded(smooth(60, 90), "JPEG", quality=98, exif=exif(turn))
    seen = []

    def choose(height, width):
        seen.append((height, width))
        return Box(0, 0, height, width), False

    out = np.zeros((*((90, 60) if turn >= 5 else (60, 90)), 3), np.uint8)
    region(data, choose, out)
    assert seen == [out.shape[:2]] == [picture_size(data)]
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(out.astype(int) - expected).mean() < 2


def test_many_at_once_are_as_one_by_one():
    files = [UNUSUAL["progressive"], b"no picture", jpeg(smooth(300, 420)), UNUSUAL["png"], jpeg(smooth(90, 60), "444")]
    boxes = [(1, 2, 50, 40), (0, 0, 1, 1), (30, 20, 250, 390), (10, 20, 40, 56), (5, 5, 7, 9)]
    sizes = [(40, 56), (8, 8), (20, 99), (56, 40), (3, 5)]
    outs = [np.zeros((*size, 3), np.uint8) for size in sizes]
    chosen = [lambda *_, box=box: (Box(*box), True) for box in boxes]
    failed = regions.regions([regions.Cut(*each) for each in zip(files, chosen, outs, strict=True)])
    assert {place: type(error) for place, error in failed.items()} == {1: BadImage}
    for place in (0, 2, 3, 4):
        assert np.array_equal(outs[place], cut(files[place], boxes[place], *sizes[place], mirror=True))


def test_gray_networks_get_gray():
    assert cut(jpeg(smooth(60, 90)), (0, 0, 60, 90), channels=1).shape == (40, 56, 1)


@pytest.mark.parametrize("whole", [jpeg(smooth(200, 300)), jpeg(smooth(64, 64, 1), quality=60)])
def test_a_cut_off_photo_is_refused_where_the_cut_shows(whole):
    with pytest.raises(BadImage):
        cut(whole[: len(whole) // 2], (0, 0, 60, 60) if len(whole) < 4000 else (150, 0, 50, 300))


@settings(deadline=None, max_examples=300)
@given(
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    length=st.integers(0, 5000),
    box=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_no_bytes_can_hurt(flips, length, box):
    data = bytearray(jpeg(smooth(100, 140), quality=80)[:length])
    for place, value in flips:
        if place < len(data):
            data[place] = value

    def choose(height, width):
        top, left = box[0] * (height - 1), box[1] * (width - 1)
        tall, wide = 1 + box[2] * (height - top - 1), 1 + box[3] * (width - left - 1)
        return Box(top, left, tall, wide), True

    out = np.zeros((40, 56, 3), np.uint8)
    with contextlib.suppress(BadImage):
        region(bytes(data), choose, out)
