"""Photos made small before they are packed: upright JPEGs of a chosen shorter side, as im2rec's --resize makes them.

Upright, because readers of RecordIO other than ours ignore the camera's orientation mark.
"""

import simplejpeg

from darkroom.imaging.decode import decode
from darkroom.imaging.preprocess import Preprocess
from darkroom.imaging.signatures import JPEG, jpeg_exif, kind_of, orientation


def shrink(data: bytes, shorter_side: int, quality: int = 95) -> bytes:
    """A JPEG whose shorter side has at most ``shorter_side`` pixels; never enlarged. Raises BadImage.

    An upright JPEG that is small enough comes back as it is, so that packing twice loses nothing.
    """
    more = shorter_side + 1  # decoding may reduce a picture to no less: what comes out larger was larger
    pixels = decode(data, cover=(more, more))
    if min(pixels.shape[:2]) > shorter_side:
        pixels = Preprocess(1, 1, shorter_side=shorter_side).resize(pixels)
    elif kind_of(data) == JPEG and orientation(jpeg_exif(data)) == 1:
        return data
    smaller: bytes = simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420")
    return smaller
