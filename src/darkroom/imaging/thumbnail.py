"""Photos as small JPEGs for people to look at: the whole picture, upright, never enlarged. Knows no network."""

import cv2
import simplejpeg

from darkroom.imaging.decode import decode

SIDE = 128  # pixels
QUALITY = 80


def thumbnail(data: bytes | memoryview, side: int = SIDE) -> bytes:
    """A JPEG of at most ``side`` pixels a side. Raises BadImage."""
    pixels = decode(data, cover=(side, side), allow_truncated=True)
    height, width = pixels.shape[:2]
    if (longest := max(height, width)) > side:
        size = max(1, width * side // longest), max(1, height * side // longest)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    small: bytes = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="420")
    return small
