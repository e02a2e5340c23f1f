"""What becomes of one image on its way into a record: decoded, cut square, resized and encoded, as the switches say.

Sizes are those of MXNet's im2rec; pixels are better where a picture shrinks, because its bilinear resize skips most of
the pixels of a large photo. Knows no lists and no records.
"""

import io

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from darkroom.im2rec.arguments import Arguments
from darkroom.imaging.decode import MAX_JPEG_PIXELS, MAX_PIXELS, BadImage, decode
from darkroom.imaging.region import Box, is_native, region
from darkroom.imaging.signatures import HEIC, jpeg_exif, kind_of, orientation

MAX_JPEG_SIDE = 65_500  # libjpeg's own limit
_COLOUR_SPACES = {1: "GRAY", 3: "RGB"}


def encode(data: bytes, arguments: Arguments) -> bytes:
    """The bytes to pack instead of an image file's. Raises BadImage."""
    header = _jpeg_header(data)
    if header and arguments.resize and arguments.color == 1 and is_native():
        return _encoded(_straight(data, *header[:2], arguments), arguments)
    pixels = _pixels(data, header, arguments)
    height, width = header[:2] if header else pixels.shape[:2]  # decoding may have reduced it, and rounded
    if arguments.center_crop:
        pixels = _square(pixels)
        height = width = min(height, width)
    if arguments.resize:
        pixels = _resized(pixels, _resized_size(height, width, arguments.resize))
    return _encoded(pixels, arguments)


def _straight(data: bytes, height: int, width: int, arguments: Arguments) -> np.ndarray:
    """Decoded, cut square and resized in one go."""
    box = Box(0, 0, height, width)
    if arguments.center_crop:
        side = min(height, width)
        box = Box((height - side) // 2, (width - side) // 2, side, side)
    rows, columns = _resized_size(round(box.height), round(box.width), arguments.resize)
    out = np.empty((rows, columns, 3), np.uint8)
    region(data, lambda *_: (box, False), out)
    return out


def _encoded(pixels: np.ndarray, arguments: Arguments) -> bytes:
    if arguments.encoding == ".jpg" and pixels.dtype == np.uint8 and pixels.shape[2] in _COLOUR_SPACES:
        quality = min(arguments.quality, 100)
        space = _COLOUR_SPACES[pixels.shape[2]]
        jpeg: bytes = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality=quality, colorspace=space, colorsubsampling="420"
        )
        return jpeg
    return _encoded_by_opencv(pixels, arguments)


def _jpeg_header(data: bytes) -> tuple[int, int, str] | None:
    """(height, width, colours) of a JPEG, upright; None of everything else and of what has no header."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (width, height, colours) if orientation(jpeg_exif(data)) >= 5 else (height, width, colours)


def _pixels(data: bytes, header: tuple[int, int, str] | None, arguments: Arguments) -> np.ndarray:
    """(H, W, channels): RGB or gray; with --color -1 as the file has it. A JPEG may come out reduced, if --resize
    allows."""
    if arguments.color == -1 and header is None and kind_of(data) not in (None, HEIC):
        return _unchanged(data)
    gray = arguments.color == 0 or (arguments.color == -1 and header is not None and header[2] == "Gray")
    reducible = arguments.resize and header is not None
    return decode(data, 1 if gray else 3, (arguments.resize, arguments.resize) if reducible else None)


def _unchanged(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            size = image.width * image.height
    except Exception as error:  # Pillow meets hostile bytes with every class of exception there is
        decode(data)  # which says what is wrong with it
        raise BadImage("the image cannot be opened; open and save it again") from error
    if not 0 < size <= MAX_PIXELS:
        raise BadImage(f"the image has {size} pixels, and at most {MAX_PIXELS} are read")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise BadImage("the image is damaged; open and save it again")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(pixels.shape[2])  # OpenCV has blue first
    return pixels[:, :, order] if order else pixels


def _square(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def _resized_size(height: int, width: int, side: int) -> tuple[int, int]:
    """The shorter side becomes ``side``, the longer is rounded down. Raises BadImage where that is too much."""
    rows, columns = (height * side // width, side) if height > width else (side, width * side // height)
    if rows * columns > MAX_JPEG_PIXELS or max(rows, columns) > MAX_JPEG_SIDE:
        raise BadImage(f"a picture of {width} x {height} pixels is too long to be resized to {side}")
    return rows, columns


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = size
    if pixels.shape[:2] == size:
        return pixels
    means = pixels.shape[0] >= 2 * rows and pixels.shape[1] >= 2 * columns
    small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA if means else cv2.INTER_LINEAR)
    return small.reshape(rows, columns, -1)  # OpenCV drops a single channel


def _encoded_by_opencv(pixels: np.ndarray, arguments: Arguments) -> bytes:
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(pixels.shape[2])
    flag, most = (cv2.IMWRITE_JPEG_QUALITY, 100) if arguments.encoding == ".jpg" else (cv2.IMWRITE_PNG_COMPRESSION, 9)
    try:
        done, encoded = cv2.imencode(
            arguments.encoding, pixels[:, :, order] if order else pixels, [flag, min(arguments.quality, most)]
        )
    except cv2.error as error:
        raise BadImage(f"the picture cannot be written as {arguments.encoding} ({error.err})") from None
    if not done:
        raise BadImage(f"the picture cannot be written as {arguments.encoding}")
    return encoded.tobytes()
