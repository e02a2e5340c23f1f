"""Bytes of an image file → pixels, or one sentence that says why not. Any bytes are welcome; none can hurt.

JPEG goes through libjpeg-turbo without Python's lock; whatever that grumbles about, and every other kind, goes through
Pillow, whose verdict counts. Sizes are checked in the header, before anything is decoded, and the memory that decoders
take is held in a budget. Knows nothing of models: ``preprocess`` says what becomes of the pixels.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from darkroom.imaging.budget import Budget
from darkroom.imaging.signatures import (
    HEIC,
    JPEG,
    KINDS,
    TIFF,
    WEBP,
    jpeg_exif,
    kind_of,
    orientation,
    webp_length,
    webp_size,
)

MAX_SIDE = 65_535  # JPEG's own limit; no decoder then allocates much for a single row
MAX_JPEG_PIXELS = 2**27  # 134 megapixels: cameras make 102, telephones 108
# Of every other kind, whose decoders take up to 16 bytes a pixel. Below Pillow's own limits, so that none of its
# process-wide settings needs touching.
MAX_PIXELS = 50_000_000
MAX_SCANS = 200  # of a progressive JPEG: encoders write about ten, and each costs a pass over the whole picture
STRIP_ROWS = 1024  # conversions work on so many rows at once; a multiple of 8, the largest reduction
MEMORY = Budget(1 << 30)  # what decoders in all threads may take together, in bytes

if TYPE_CHECKING:
    from PIL import Image as Pillow

_JPEG_END = b"\xff\xd9"
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF
_WITH_ALPHA = {"RGBA", "LA", "PA", "RGBa", "La"}
_CONVERTIBLE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}


class BadImage(ValueError):
    """The bytes cannot become a picture; the message is one sentence that says why, and what to send instead."""


class TruncatedImage(BadImage):
    """The file ends before its picture does."""


def decode(
    data: bytes | memoryview,
    channels: int = 3,
    cover: tuple[int, int] | None = None,
    allow_truncated: bool = False,
) -> np.ndarray:
    """uint8 pixels (H, W, channels): RGB, or gray for one channel; turned upright, over white where transparent.

    ``cover`` is a (height, width) that suffices: the picture may come out smaller by 2, 4 or 8, but never smaller than
    that in either direction. What comes out depends on the arguments alone, never on who asks.
    ``allow_truncated`` fills the missing part of a JPEG with gray instead of refusing.
    Raises BadImage, or its kind TruncatedImage.
    """
    data = bytes(data)
    kind = kind_of(data)
    if kind is None or kind == HEIC:
        raise _not_an_image(data, kind)
    if kind == JPEG:
        return _decode_jpeg(data, channels, cover, allow_truncated)
    return _decode_with_pillow(data, kind, channels, cover)


def _not_an_image(data: bytes, kind: str | None) -> BadImage:
    if kind == HEIC:
        return BadImage("HEIC photos cannot be read here; export the photo as JPEG")
    if len(data) == 0:
        return BadImage("there are no bytes; send the bytes of one image file")
    return BadImage(
        f"these {len(data)} bytes are not an image; they start with {data[:8]!r} and are none of: " + ", ".join(KINDS)
    )


# JPEG ---------------------------------------------------------------------------------------------


def _decode_jpeg(data: bytes, channels: int, cover: tuple[int, int] | None, allow_truncated: bool) -> np.ndarray:
    """A file that lacks nothing but its end marker (cameras and broken downloads leave it out) is whole once it has
    one; one that lacks pixels is still found out, and everything else is for Pillow to judge."""
    _check_scans(data)
    for whole in (data, data + _JPEG_END):
        pixels = _libjpeg(whole, channels, cover, strict=True)
        if pixels is not None:
            return pixels
    try:
        return _decode_with_pillow(data, JPEG, channels, cover)
    except TruncatedImage:
        pixels = _libjpeg(data, channels, cover, strict=False) if allow_truncated else None
        if pixels is None:
            raise
        return pixels


def _libjpeg(data: bytes, channels: int, cover: tuple[int, int] | None, strict: bool) -> np.ndarray | None:
    """None where libjpeg-turbo has something to say against the file, or cannot turn its colours into ours."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=strict)
    except ValueError:
        return None
    _check_size(height, width, MAX_JPEG_PIXELS)
    if colours in ("CMYK", "YCCK"):
        return None
    turn = orientation(jpeg_exif(data))
    factor = _reduction(height, width, cover, turn)
    height, width = -(-height // factor), -(-width // factor)
    with MEMORY.hold(height * width * channels + _coefficients(data, height * width * factor**2)):
        try:
            pixels = simplejpeg.decode_jpeg(
                data, "RGB" if channels == 3 else "GRAY", min_height=height, min_width=width, strict=strict
            )
        except ValueError:
            return None
    return _upright(pixels, turn)


def _check_scans(data: bytes) -> None:
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise BadImage(f"this JPEG is in {scans} scans, and at most {MAX_SCANS} are read; save the photo again")


def _coefficients(data: bytes, pixels: int) -> int:
    """Bytes that a progressive JPEG takes for the coefficients of all its pixels, whatever size comes out."""
    return 6 * pixels if b"\xff\xc2" in data else 0


# Every other kind ---------------------------------------------------------------------------------


def _decode_with_pillow(data: bytes, kind: str, channels: int, cover: tuple[int, int] | None) -> np.ndarray:
    try:
        from PIL import Image  # noqa: PLC0415 - heavy, and most pictures are JPEG
    except ImportError:  # where only what serves compiled models is installed
        harm = "is damaged" if kind == JPEG else "needs Pillow, which is not installed here"
        raise BadImage(f"this {kind} {harm}; send the photo as a whole JPEG") from None

    if kind == WEBP:
        _check_webp(data)
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_size(image.height, image.width, MAX_PIXELS)
            if kind == TIFF:
                _check_tiles(image)
            with MEMORY.hold(16 * image.height * image.width):
                image.load()
                turn = 1 if kind == TIFF else orientation(image.info.get("exif") or b"")  # TIFF: Pillow turned it
                factor = _reduction(image.height, image.width, cover, turn)
                pixels = np.concatenate([_flat(strip, channels, factor) for strip in _strips(image)])
    except (BadImage, MemoryError):
        raise
    except Exception as error:  # decoders meet hostile bytes with every class of exception there is
        raise _damaged(kind, error) from error
    return _upright(pixels, turn)


def _check_webp(data: bytes) -> None:
    if webp_length(data) > len(data):
        raise _truncated(WEBP)
    if size := webp_size(data):
        _check_size(*size, MAX_PIXELS)


def _check_tiles(image: "Pillow.Image") -> None:
    tags = image.tag_v2  # type: ignore[attr-defined]
    tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0)
    if tile > MAX_PIXELS:
        raise BadImage(f"this TIFF has tiles of {tile} pixels, and at most {MAX_PIXELS} are read")


def _strips(image: "Pillow.Image") -> Iterator["Pillow.Image"]:
    for top in range(0, image.height, STRIP_ROWS):
        yield image.crop((0, top, image.width, min(image.height, top + STRIP_ROWS)))


def _flat(image: "Pillow.Image", channels: int, factor: int) -> np.ndarray:
    """Pixels (H/factor, W/factor, channels) of a picture of any mode, over white where it is transparent."""
    from PIL import Image  # noqa: PLC0415

    mode = "RGB" if channels == 3 else "L"
    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    elif image.mode not in _CONVERTIBLE:
        raise BadImage(f"pictures of mode {image.mode} are not read here; save it as RGB or gray, 8 or 16 bits")
    image = image.convert(mode)
    if factor > 1:
        image = image.reduce(factor)
    return np.asarray(image).reshape(image.height, image.width, channels)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Gray of 16 bits, which Pillow would clip, by its upper byte: what it does itself to colours of 16 bits."""
    if values.min() < 0 or values.max() > 0xFFFF:
        raise BadImage("a picture with values of more than 16 bits has no agreed white; save it with 8 or 16 bits")
    return (values >> 8).astype(np.uint8)


def _damaged(kind: str, error: Exception) -> BadImage:
    text = " ".join(f"{error}".split()).rstrip(".")
    if type(error).__name__.startswith("DecompressionBomb"):
        return BadImage(f"this {kind} has too many pixels: {_most(MAX_PIXELS)} are read; make it smaller")
    if "truncated" in text.lower() or "unexpected end" in text.lower():
        return _truncated(kind)
    if "cannot identify" in text or not text:
        return BadImage(f"this {kind} cannot be opened: its header is damaged or the file is cut short; save it again")
    return BadImage(f"this {kind} is damaged ({text}); open and save it again")


def _truncated(kind: str) -> TruncatedImage:
    return TruncatedImage(f"this {kind} is truncated: the file ends before its picture does; send the whole file")


# Both ---------------------------------------------------------------------------------------------


def _check_size(height: int, width: int, most: int) -> None:
    if height < 1 or width < 1:
        raise BadImage(f"the image is {width} x {height} pixels: there is nothing in it")
    if height * width > most or max(height, width) > MAX_SIDE:
        raise BadImage(
            f"the image has {width} x {height} pixels, which are too many: {_most(most)} are read; make it smaller"
        )


def _most(pixels: int) -> str:
    return f"at most {pixels / 1e6:.0f} megapixels with at most {MAX_SIDE} a side"


def _reduction(height: int, width: int, cover: tuple[int, int] | None, turn: int) -> int:
    """The largest of 8, 4, 2, 1 by which the sides may be divided (rounded up) and still cover."""
    if cover is None:
        return 1
    rows, columns = cover if turn < 5 else cover[::-1]
    return next((f for f in (8, 4, 2) if -(-height // f) >= rows and -(-width // f) >= columns), 1)


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """(H, W, C) turned as Exif's orientation asks: 2-4 keep the sides, 5-8 swap them."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    # what is left to mirror after the swap: (rows, columns)
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(turn, (1, 1))
    return np.ascontiguousarray(pixels[::rows, ::columns])
