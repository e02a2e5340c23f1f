import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.imaging.decode import decode
from darkroom.imaging.preprocess import SQUASH, Preprocess, resized_size, shorter_side_for
from tests.imaging.pictures import NASTY, blocks, file_of, needs_nasty, scene


def slow_bilinear(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear with pixel centres at halves and edges repeated, in float64."""

    def taps(size: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = (np.arange(wanted) + 0.5) * size / wanted - 0.5
        low = np.floor(at).astype(int)
        return np.clip(low, 0, size - 1), np.clip(low + 1, 0, size - 1), at - low

    top, bottom, y = taps(pixels.shape[0], height)
    left, right, x = taps(pixels.shape[1], width)
    p = pixels.astype(np.float64)
    y, x = y[:, None, None], x[None, :, None]
    rows = [p[r][:, left] * (1 - x) + p[r][:, right] * x for r in (top, bottom)]
    return rows[0] * (1 - y) + rows[1] * y


def slow_area(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every output pixel is the mean of what lies under it, parts of pixels by their share."""

    def shares(size: int, wanted: int) -> np.ndarray:
        edges = np.arange(wanted + 1) * size / wanted
        pixel = np.arange(size)
        inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
        return np.maximum(inside, 0) * wanted / size

    rows = np.einsum("hH,HWC->hWC", shares(pixels.shape[0], height), pixels.astype(np.float64))
    return np.einsum("wW,hWC->hwC", shares(pixels.shape[1], width), rows)


def slow_apply(p: Preprocess, pixels: np.ndarray) -> np.ndarray:
    """The whole of ``apply`` after decoding, written the slow and obvious way; float64."""
    height, width = pixels.shape[:2]
    if p.mode == SQUASH:
        rows, columns = p.height, p.width
    else:
        short = p.shorter_side or min(height, width)
        rows = short if height <= width else height * short // width
        columns = short if width < height else width * short // height
        grow = max(1.0, p.height / rows, p.width / columns)
        if grow > 1:
            rows, columns = max(p.height, int(rows * grow)), max(p.width, int(columns * grow))
    slow = slow_area if height >= 2 * rows and width >= 2 * columns else slow_bilinear
    resized = slow(pixels, rows, columns)
    if p.mode == SQUASH:
        return resized
    top, left = (rows - p.height) // 2, (columns - p.width) // 2
    return resized[top : top + p.height, left : left + p.width]


CASES = [
    Preprocess(64, 64, 3, 72),
    Preprocess(64, 96, 3, 64),
    Preprocess(33, 17, 1, 40),
    Preprocess(64, 64, 3, None),
    Preprocess(64, 48, 3, mode=SQUASH),
    Preprocess(150, 400, 3, 100),
]


@pytest.mark.parametrize("p", CASES, ids=str)
@pytest.mark.parametrize("size", [(120, 160), (75, 73), (50, 200), (200, 50), (20, 30), (700, 900), (64, 64)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_apply_equals_a_slow_reference(p, size, kind):
    data = file_of(blocks(*size), kind)
    got = p.apply(data)
    assert got.shape == (p.height, p.width, p.channels)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    slow = slow_apply(p, decode(data, p.channels, p.cover))
    assert np.abs(got - slow).max() <= 1  # cv2 works with eleven bits after the point and rounds twice


@needs_nasty
def test_apply_equals_a_slow_reference_on_a_phone_photo():
    data = (NASTY / "exif-orientation__Landscape_6.jpg").read_bytes()
    p = Preprocess(224, 224, 3, 256)
    assert np.abs(p.apply(data) - slow_apply(p, decode(data, 3, p.cover))).max() <= 1


def test_the_longer_side_is_rounded_down_and_offsets_too():
    p = Preprocess(224, 224, 3, 256)
    assert resized_size(300, 451, p) == (256, 384)
    assert resized_size(451, 300, p) == (384, 256)
    assert resized_size(256, 256, p) == (256, 256)
    pixels = np.zeros((5, 8, 3), np.uint8)
    pixels[1, 2] = 7
    assert Preprocess(2, 3).crop(pixels)[0, 0].tolist() == [7, 7, 7]


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    shape=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    shorter=st.none() | st.integers(1, 700),
)
def test_a_resized_picture_always_covers_the_crop(size, shape, shorter):
    rows, columns = resized_size(*size, Preprocess(*shape, 3, shorter))
    if min(size) * 16 >= max(size):  # longer ones are cut first
        assert rows >= shape[0]
        assert columns >= shape[1]


def test_a_line_of_pixels_is_cut_to_its_middle_and_stays_small():
    p = Preprocess(64, 64, 3, 72)
    line = np.zeros((1, 60_000, 3), np.uint8)
    line[0, 30_000] = 255
    data = file_of(line, "PNG")
    assert p.resized(data).shape == (72, 72 * 16, 3)
    assert p.apply(data).max() > 200
    assert p.apply(file_of(line.swapaxes(0, 1), "PNG")).shape == (64, 64, 3)


def test_cover_never_changes_a_picture_that_is_not_larger():
    p = Preprocess(64, 64, 3, 72)
    data = file_of(scene(100, 130), "JPEG")
    assert np.array_equal(p.apply(data), p.crop(p.resize(decode(data))))


def test_the_record_makes_the_round_trip():
    for p in CASES:
        assert Preprocess.from_dict(p.to_dict()) == p


@pytest.mark.parametrize(
    "change",
    [{"mode": "stretch"}, {"height": 0}, {"channels": 4}, {"height": "64"}, {"height": None}, {"sharpen": 1}],
)
def test_a_record_that_is_not_understood_is_refused(change):
    with pytest.raises(ValueError, match=r"(understood are|neither|shape|type)"):
        Preprocess.from_dict(Preprocess(64, 64, 3, 72).to_dict() | change)


@pytest.mark.parametrize(
    ("resize", "median", "shape", "expected"),
    [
        (300, 100, (224, 224), 300),
        (None, 1000, (224, 224), 256),
        (None, 240.5, (224, 224), 240),
        (None, 100, (224, 224), 224),
        (None, 32, (32, 32), 32),
        (None, 500, (28, 28), 32),
        (None, 500, (224, 100), 256),
    ],
)
def test_shorter_side_of_a_model_trained_here(resize, median, shape, expected):
    assert shorter_side_for(resize, median, *shape) == expected
