import io
import json

import numpy as np
import pytest

from darkroom.imaging.preprocess import Preprocess
from darkroom.serving.content import Refused
from darkroom.serving.inputs import Arrays, Photos
from tests.imaging.pictures import blocks, file_of

PREPROCESS = Preprocess(8, 10, 3, mode="squash")
EXACT, ROUNDED = Photos(PREPROCESS), Photos(PREPROCESS, rounded=True)
PIXELS = blocks(8, 10, 3)
NUMPY = "application/x-npy"


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_photo_takes_the_recorded_way():
    photo = file_of(blocks(40, 50, 1), "JPEG")
    assert np.array_equal(ROUNDED.read(photo, "image/jpeg"), PREPROCESS.apply(photo)[None])


@pytest.mark.parametrize("photos", [EXACT, ROUNDED])
@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_whole_numbers_stay_bytes(photos, dtype):
    channels_first = PIXELS.transpose(2, 0, 1).astype(dtype)
    for array in (PIXELS.astype(dtype), PIXELS[None], channels_first, channels_first[None]):
        rows = photos.read(npy(array), NUMPY)
        assert rows.dtype == np.uint8
        assert np.array_equal(rows, PIXELS[None])


def test_floats_stay_floats_where_the_model_takes_them():
    floats = np.minimum(PIXELS.transpose(2, 0, 1)[None] + np.float32(0.3), 255)
    exact = EXACT.read(npy(floats), NUMPY)
    assert exact.dtype == np.float32
    assert np.array_equal(exact, floats.transpose(0, 2, 3, 1))
    rounded = ROUNDED.read(npy(floats), NUMPY)
    assert rounded.dtype == np.uint8
    assert np.array_equal(rounded, PIXELS[None])


def test_batches_and_json_are_taken():
    batch = np.stack([PIXELS, 255 - PIXELS])
    assert np.array_equal(ROUNDED.read(npy(batch), NUMPY), batch)
    assert np.array_equal(ROUNDED.read(json.dumps(batch.tolist()).encode(), "application/json"), batch)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((1, 3, 10, 8), np.uint8),
         r"found uint8 of shape \[1, 3, 10, 8\]; expected uint8 or float32 of shape \[batch, 3, 8, 10\] or "
         r"\[batch, 8, 10, 3\], or one photo"),
        (np.zeros((0, 8, 10, 3), np.uint8), "found uint8 of shape"),
        (np.zeros(240, np.uint8), "found uint8 of shape"),
        (PIXELS - 120.0, r"values from -94 to 128; expected pixels from 0 to 255: the model normalises them itself"),
        (PIXELS / 255.0, "values from 0.101961 to 0.972549; expected pixels"),
        (np.full((8, 10, 3), np.nan), "no finite number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_would(array, reason):
    with pytest.raises(Refused, match=reason) as refusal:
        ROUNDED.read(npy(array), NUMPY)
    assert refusal.value.status == 400


DIGITS = Arrays((1, 28, 28))


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (1, 1, 28, 28)])
def test_one_digit_in_any_number_of_brackets(shape):
    digit = np.random.default_rng(0).random(shape)
    rows = DIGITS.read(npy(digit), "application/vnd+python.numpy+binary")
    assert (rows.shape, rows.dtype) == ((1, 1, 28, 28), np.float32)
    assert np.array_equal(rows.ravel(), digit.astype(np.float32).ravel())


def test_many_digits():
    assert DIGITS.read(npy(np.zeros((7, 1, 28, 28), np.float32)), NUMPY).shape == (7, 1, 28, 28)


def test_a_model_of_arrays_says_so_to_photos():
    with pytest.raises(Refused, match=r"takes arrays float32 \[batch, 1, 28, 28\], not images; send application/x-npy"):
        DIGITS.read(file_of(blocks(28, 28, 0), "PNG"), "image/png")


@pytest.mark.parametrize("array", [np.zeros((28, 27)), np.full((28, 28), 1e300), np.full((28, 28), np.inf)])
def test_odd_digits_are_refused(array):
    with pytest.raises(Refused, match="expected"):
        DIGITS.read(npy(array), NUMPY)
