import pytest

from darkroom.imaging.signatures import KINDS, jpeg_exif, kind_of, orientation, webp_length, webp_size
from tests.imaging.pictures import exif, file_of, scene


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known_by_its_first_bytes(kind):
    assert kind_of(file_of(scene(), kind)) == kind


def test_others_are_not():
    for data in (b"", b"GIF", b"%PDF-1.7", b"RIFF\0\0\0\0WAVEfmt ", b'{"a": 1}', b"BM" + bytes(30), b"\x93NUMPY"):
        assert kind_of(data) is None


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": exif(3)}, {"lossless": True, "exif": exif(3)}])
def test_webp_headers_tell_size_and_length(options):
    data = file_of(scene(37, 91), "WEBP", **options)
    assert webp_size(data) == (37, 91)
    assert webp_length(data) == len(data)
    assert webp_size(data[:20]) is None


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_of_either_byte_order(turn):
    big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes([0, turn, 0, 0])
    assert orientation(big) == turn
    assert orientation(jpeg_exif(file_of(scene(), "JPEG", exif=exif(turn)))) == turn


@pytest.mark.parametrize(
    "block",
    [b"", b"Exif\0\0", b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(11), exif(9)],
)
def test_what_says_nothing_or_nonsense_is_upright(block):
    assert orientation(block) == 1
