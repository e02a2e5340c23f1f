"""What the first bytes of an image file say: its kind, its size, its colours. Nothing is decoded and nothing believed.

Pure functions of bytes; whether the picture behind the header is whole, decoding says.
"""

import io
import struct
from dataclasses import dataclass

from darkroom.imaging.signatures import (
    AVIF,
    BMP,
    GIF,
    JPEG,
    PNG,
    TIFF,
    WEBP,
    jpeg_exif,
    kind_of,
    orientation,
    webp_length,
    webp_size,
)

COLOUR, GREY, CMYK, TRANSPARENT, PALETTE = "colour", "grey", "CMYK", "transparent", "palette"
MODES = (COLOUR, GREY, CMYK, TRANSPARENT, PALETTE)
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # JPEG: SOF0 … SOF15
_ALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a length
_PNG_MODES = {0: GREY, 2: COLOUR, 3: PALETTE, 4: TRANSPARENT, 6: TRANSPARENT}
_PILLOW_MODES = {"1": GREY, "L": GREY, "I": GREY, "F": GREY, "I;16": GREY, "I;16B": GREY, "P": PALETTE, "CMYK": CMYK}
_TAIL = 64  # bytes in which a whole file shows its end; some writers put zeros after it


@dataclass(frozen=True)
class Header:
    """``width`` and ``height`` are those of the upright picture, in pixels."""

    kind: str
    width: int
    height: int
    mode: str
    turned: bool = False  # by the camera's orientation mark


def header(data: bytes) -> Header | None:
    """Of a whole file; None where the bytes say too little, or are no image that is read here."""
    kind = kind_of(data)
    readers = {JPEG: _jpeg, PNG: _png, GIF: _gif, BMP: _bmp, WEBP: _webp, TIFF: _pillow, AVIF: _pillow}
    if kind not in readers:
        return None
    try:
        return readers[kind](data)
    except (struct.error, IndexError):
        return None


def looks_whole(data: bytes) -> bool:
    """Whether the file ends as its kind does; one that does not may still be whole, and decoding says."""
    kind, tail = kind_of(data), data[-_TAIL:]
    if kind == JPEG:
        return b"\xff\xd9" in tail
    if kind == PNG:
        return b"IEND" in tail
    if kind == GIF:
        return b"\x3b" in tail
    if kind == WEBP:
        return webp_length(data) <= len(data)
    if kind == BMP:
        return int.from_bytes(data[2:6], "little") <= len(data)
    return False


def _jpeg(data: bytes) -> Header | None:
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            place = data.find(b"\xff", place)  # junk between segments, which decoders skip as well
            if place < 0:
                return None
            continue
        marker = data[place + 1]
        if marker in _FRAMES:
            height, width, parts = struct.unpack_from(">HHB", data, place + 5)
            return _turned(JPEG, width, height, {1: GREY, 4: CMYK}.get(parts, COLOUR), orientation(jpeg_exif(data)))
        if marker in (0xFF, 0x00) or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        place += 2 + max(2, length)
    return None


def _turned(kind: str, width: int, height: int, mode: str, turn: int) -> Header:
    if turn >= 5:
        width, height = height, width
    return Header(kind, width, height, mode, turn != 1)


def _png(data: bytes) -> Header | None:
    if data[12:16] != b"IHDR":
        return None
    width, height, _, colours = struct.unpack_from(">IIBB", data, 16)
    mode = _PNG_MODES.get(colours, COLOUR)
    end = data.find(b"IDAT", 0, 1 << 16)
    if data.find(b"tRNS", 0, end if end > 0 else 1 << 16) > 0:
        mode = TRANSPARENT
    return Header(PNG, width, height, mode)


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(GIF, width, height, PALETTE)


def _bmp(data: bytes) -> Header:
    if int.from_bytes(data[14:18], "little") == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    return Header(BMP, abs(width), abs(height), PALETTE if bits <= 8 else COLOUR)


def _webp(data: bytes) -> Header | None:
    size = webp_size(data)
    if size is None:
        return None
    transparent = (data[12:16] == b"VP8X" and data[20] & 0x10) or (data[12:16] == b"VP8L" and data[24] & 0x10)
    turn = 1
    if data[12:16] == b"VP8X" and data[20] & 0x08 and (start := data.find(b"EXIF", 30)) > 0:
        turn = orientation(data[start + 8 :])
    return _turned(WEBP, size[1], size[0], TRANSPARENT if transparent else COLOUR, turn)


def _pillow(data: bytes) -> Header | None:
    """The kinds whose headers are long stories."""
    from PIL import Image  # noqa: PLC0415 - heavy, and such files are few

    kind = kind_of(data)
    assert kind is not None
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
            mode = TRANSPARENT if transparent else _PILLOW_MODES.get(image.mode, COLOUR)
            return Header(kind, image.width, image.height, mode)
    except Exception:  # hostile headers raise every class of exception there is; decoding gives the reason
        return None
