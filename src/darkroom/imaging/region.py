"""One region of a picture, resized: what random crops ask for, thousands of times a second.

A baseline JPEG goes through ``jpeg_region.c`` where that was built, which decodes no more than the region; everything
else, and every picture where it was not, is decoded whole. Both resize bilinearly; they differ in the last bits.
"""

import ctypes
import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from darkroom.imaging.decode import MAX_JPEG_PIXELS, BadImage, decode
from darkroom.imaging.signatures import JPEG, jpeg_exif, kind_of, orientation

_DONE = 0


class Box(NamedTuple):
    """A rectangle in the pixels of the upright picture; fractions are meant."""

    top: float
    left: float
    height: float
    width: float


class Cut(NamedTuple):
    """What to cut from one encoded picture. ``choose(height, width)`` of the picture names the box, and whether it is
    mirrored; ``out``, uint8 (height, width, channels), is filled with it."""

    data: bytes | memoryview
    choose: Callable[[int, int], tuple[Box, bool]]
    out: np.ndarray


def region(
    data: bytes | memoryview,
    choose: Callable[[int, int], tuple[Box, bool]],
    out: np.ndarray,
    allow_truncated: bool = False,
) -> None:
    """One ``Cut``. Raises BadImage."""
    cut = Cut(data, choose, out)
    if not _filled([cut]):
        _fill_slowly(cut, allow_truncated)


def regions(cuts: Sequence[Cut]) -> dict[int, BadImage]:
    """Fill them all; those that could not be, by position, and why. Faster than one by one: a thread that comes back
    to Python waits for its lock, here once only."""
    failed, filled = dict[int, BadImage](), _filled(cuts)
    for position, cut in enumerate(cuts):
        if position not in filled:
            try:
                _fill_slowly(cut)
            except BadImage as error:
                failed[position] = error
    return failed


def picture_size(data: bytes | memoryview) -> tuple[int, int]:
    """(height, width) of the upright picture, from its header where that suffices. Raises BadImage."""
    if native := _native():
        address, size = _address(data)
        if dimensions := _size(native, address, size):
            return dimensions
    data = bytes(data)
    if kind_of(data) == JPEG:
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            pass
        else:
            return (width, height) if orientation(jpeg_exif(data)) >= 5 else (height, width)
    height, width = decode(data).shape[:2]
    return height, width


def is_native() -> bool:
    """Whether jpeg_region.c was built and found the libjpeg-turbo that it understands."""
    return _native() is not None


def _fill_slowly(cut: Cut, allow_truncated: bool = False) -> None:
    pixels = decode(cut.data, cut.out.shape[2], allow_truncated=allow_truncated)
    box, mirror = cut.choose(*pixels.shape[:2])
    resized = _resized(pixels, box, cut.out.shape[0], cut.out.shape[1])
    cut.out[...] = resized[:, ::-1] if mirror else resized


def _resized(pixels: np.ndarray, box: Box, height: int, width: int) -> np.ndarray:
    """The box of a decoded picture at (height, width): reduced by whole factors first, as the DCT does it."""
    factor = next((f for f in (8, 4, 2) if box.height >= f * height and box.width >= f * width), 1)
    top, left = int(box.top), int(box.left)
    pixels = pixels[top : int(box.top + box.height) + 1 + factor, left : int(box.left + box.width) + 1 + factor]
    if factor > 1:
        size = max(1, pixels.shape[1] // factor), max(1, pixels.shape[0] // factor)
        pixels = pixels[: size[1] * factor, : size[0] * factor]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    steps = box.height / factor / height, box.width / factor / width
    begins = (box.top - top) / factor, (box.left - left) / factor
    # cv2 counts from pixel centres: output (x, y) lies at source (begin + (x + 0.5) * step - 0.5)
    (down, y), (right, x) = ((step, begin + step / 2 - 0.5) for step, begin in zip(steps, begins, strict=True))
    move = np.array([[right, 0, x], [0, down, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    resized = cv2.warpAffine(pixels, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return resized.reshape(height, width, -1)


# The native way --------------------------------------------------------------------------------


class _Cut(ctypes.Structure):
    """``struct cut`` of jpeg_region.c."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("out", ctypes.c_void_p),
        *((name, ctypes.c_double) for name in ("top", "left", "tall", "wide")),
        *((name, ctypes.c_int) for name in ("height", "width", "mirror", "status")),
    )


@functools.cache
def _native() -> ctypes.CDLL | None:
    built = sorted(Path(__file__).parent.glob("_jpeg_region*.so"))
    for path in built[:1]:
        try:
            native = ctypes.CDLL(str(path))
        except OSError:
            continue
        for name in ("darkroom_jpeg_open", "darkroom_jpeg_size", "darkroom_jpeg_regions"):
            getattr(native, name).restype = ctypes.c_int
        pointer = ctypes.c_void_p
        native.darkroom_jpeg_size.argtypes = [pointer, ctypes.c_size_t, pointer, pointer]
        native.darkroom_jpeg_regions.argtypes = [pointer, ctypes.c_size_t]
        if any(native.darkroom_jpeg_open(library.encode()) == _DONE for library in _libraries()):
            return native
    return None


def _libraries() -> list[str]:
    """Where a libjpeg-turbo may be: the one in Pillow's wheel is newer than most systems'."""
    try:
        files = importlib.metadata.files("pillow") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    shipped = [str(file.locate()) for file in files if file.name.startswith("libjpeg") and ".so" in file.name]
    system = find_library("jpeg")
    return [*shipped, *([system] if system else [])]


def _address(data: bytes | memoryview) -> tuple[int, int]:
    view = np.frombuffer(data, np.uint8)
    return view.__array_interface__["data"][0], view.size  # three times as fast as .ctypes.data


def _size(native: ctypes.CDLL, address: int, size: int) -> tuple[int, int] | None:
    height, width = ctypes.c_int(), ctypes.c_int()
    if native.darkroom_jpeg_size(address, size, ctypes.byref(height), ctypes.byref(width)) != _DONE:
        return None
    return (height.value, width.value) if height.value * width.value <= MAX_JPEG_PIXELS else None


def _filled(cuts: Sequence[Cut]) -> set[int]:
    """The positions of those that the native way has filled."""
    if not (native := _native()):
        return set()
    taken = dict[int, _Cut]()
    for position, (data, choose, out) in enumerate(cuts):
        address, size = _address(data)
        if out.shape[2] == 3 and out.flags.c_contiguous and (dimensions := _size(native, address, size)):
            box, mirror = choose(*dimensions)
            there = out.__array_interface__["data"][0]
            taken[position] = _Cut(address, size, there, *box, *out.shape[:2], mirror)
    array = (_Cut * len(taken))(*taken.values())
    if native.darkroom_jpeg_regions(array, len(taken)) != _DONE:
        return set()
    return {position for position, cut in zip(taken, array, strict=True) if cut.status == _DONE}
