"""What a model takes, and how the body of a request becomes it: the one reading that every way of serving shares.

Two kinds of model: one that looks at photos (and takes their pixels as arrays, too), one that takes arrays only. What
does not fit is refused with what was found and what was expected. Knows neither engines nor sockets.
"""

import math
from dataclasses import dataclass

import numpy as np

from darkroom.imaging.decode import BadImage
from darkroom.imaging.preprocess import Preprocess
from darkroom.serving import arrays
from darkroom.serving.content import IMAGE, JSON, JSON_TYPES, NUMPY_TYPES, Refused, kind_of_body

WHITE = 255


@dataclass(frozen=True)
class Photos:
    """Pixels (N, height, width, channels), 0 to 255: uint8, or float32 of an array of floats unless ``rounded``."""

    preprocess: Preprocess
    rounded: bool = False  # the model takes uint8 only

    def read(self, data: bytes, content_type: str | None) -> np.ndarray:
        """Raises Refused."""
        kind = kind_of_body(content_type, data)
        if kind != IMAGE:
            return self._pixels(_array(kind, data))
        try:
            return self.preprocess.apply(data)[np.newaxis]
        except BadImage as error:
            raise Refused(400, f"unable to evaluate payload provided: {error}") from None

    def _pixels(self, array: np.ndarray) -> np.ndarray:
        """Channels first, as networks are fed, or last, as pictures are kept: whichever fits; one, or a batch."""
        p = self.preprocess
        first, last = (p.channels, p.height, p.width), (p.height, p.width, p.channels)
        rows = _rows(array, first)
        rows = rows.transpose(0, 2, 3, 1) if rows is not None else _rows(array, last)
        if rows is None:
            raise _misfit(array, f"uint8 or float32 of shape {_shapes(first)} or {_shapes(last)}, or one photo")
        _check_values(rows)
        if rows.dtype.kind == "f":
            rows = np.rint(rows) if self.rounded else rows.astype(np.float32)
        return np.ascontiguousarray(rows if rows.dtype == np.float32 and not self.rounded else rows.astype(np.uint8))


@dataclass(frozen=True)
class Arrays:
    """float32 (N, …), of a model that nobody said takes photos. ``item``: the shape without its batch."""

    item: tuple[int, ...]

    def read(self, data: bytes, content_type: str | None) -> np.ndarray:
        """Raises Refused."""
        kind = kind_of_body(content_type, data)
        if kind == IMAGE:
            taken = ", ".join(NUMPY_TYPES + JSON_TYPES)
            raise Refused(415, f"this model takes arrays float32 {_shapes(self.item)}, not images; send {taken}")
        array = _array(kind, data)
        rows = _rows(array, self.item)
        if rows is None:
            raise _misfit(array, f"float32 of shape {_shapes(self.item)}")
        with np.errstate(over="ignore"):  # of a double; the check finds it
            floats = np.ascontiguousarray(rows, np.float32)
        _check_finite(floats)
        return floats


Input = Photos | Arrays


def _array(kind: str, data: bytes) -> np.ndarray:
    return arrays.from_json(data) if kind == JSON else arrays.from_npy(data)


def _rows(array: np.ndarray, item: tuple[int, ...]) -> np.ndarray | None:
    """(N, *item); axes of length one before the rest may be left out or be too many. None for what does not fit."""
    if array.ndim == len(item) + 1 and array.shape[1:] == item:
        return array if len(array) else None
    if array.size == math.prod(item) and _essence(array.shape) == _essence(item):
        return array.reshape(1, *item)
    return None


def _essence(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without leading ones: (1, 1, 28, 28) is a way to write (28, 28)."""
    first = next((place for place, extent in enumerate(shape) if extent != 1), len(shape))
    return shape[first:]


def _check_values(pixels: np.ndarray) -> None:
    if pixels.dtype == np.uint8:
        return
    _check_finite(pixels)
    least, most = float(pixels.min()), float(pixels.max())
    scaled = pixels.dtype.kind == "f" and 0 < most <= 1 and bool((pixels % 1).any())
    if least < 0 or most > WHITE or scaled:
        raise _wrong(
            f"the array holds values from {least:g} to {most:g}; expected pixels from 0 to {WHITE}: "
            "the model normalises them itself"
        )


def _check_finite(array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        raise _wrong("the array holds what is no finite number; expected finite float32")


def _misfit(array: np.ndarray, expected: str) -> Refused:
    return _wrong(f"found {array.dtype} of shape {list(array.shape)}; expected {expected}")


def _wrong(reason: str) -> Refused:
    return Refused(400, f"unable to evaluate payload provided: {reason}")


def _shapes(item: tuple[int, ...]) -> str:
    return f"[batch, {', '.join(map(str, item))}]"
