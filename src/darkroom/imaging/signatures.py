"""Which kind of image file some bytes are, by their first bytes, and what headers tell before anything is decoded.

Knows file formats, and nothing of pixels: every function here is pure and looks at a few bytes.
"""

import struct

JPEG, PNG, GIF, WEBP, BMP, TIFF, AVIF = "JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"
KINDS = (JPEG, PNG, GIF, WEBP, BMP, TIFF, AVIF)  # Pillow's names, and what people are told is accepted
HEIC = "HEIC"  # known, so that it can be named; not decoded here

_STARTS = {
    b"\xff\xd8\xff": JPEG,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # sizes; two letters alone would be a weak sign
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_ORIENTATION = 0x0112
_SHORT = 3
_EXIF_MARK = b"Exif\0\0"
_EXIF_WITHIN = 1 << 18  # Exif asks for its segment right after the first marker; some writers put others before it


def kind_of(data: bytes) -> str | None:
    """One of KINDS, HEIC, or None for bytes that start like none of them."""
    head = data[:32]
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        brands = {head[i : i + 4] for i in (8, *range(16, 32, 4))}
        if brands & _AVIF_BRANDS:
            return AVIF
        if brands & _HEIC_BRANDS:
            return HEIC
    return None


def webp_length(data: bytes) -> int:
    """Bytes that a WebP file says it has."""
    return 8 + int.from_bytes(data[4:8], "little")


def webp_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a WebP file's canvas, None where the header is cut short.

    Its decoder sets aside the whole canvas as it opens a file, so the size has to be known before.
    """
    head = data[:30]
    if len(head) < 30:
        return None
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[27:30], "little"), 1 + int.from_bytes(head[24:27], "little")
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return height & 0x3FFF, width & 0x3FFF
    return None


def jpeg_exif(data: bytes) -> bytes:
    """The Exif block of a JPEG file, empty where it has none."""
    head = data[:_EXIF_WITHIN]
    start = head.find(_EXIF_MARK)
    return b"" if start < 0 else head[start : start + 0xFFFF]


def orientation(exif: bytes) -> int:
    """How to turn the picture, 1 to 8 as Exif numbers it; 1 (as it is) where the block does not say or is damaged."""
    tiff = exif.removeprefix(_EXIF_MARK)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, first)
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION and kind == _SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
