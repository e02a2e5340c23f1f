import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.imaging.decode import BadImage, TruncatedImage, decode
from tests.imaging.pictures import blocks, exif, file_of, scene

LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})]
LOSSY = [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True, "quality": 95}), ("AVIF", {"quality": 95})]
# Pillow tells of odd margins by warnings, which the entry points of jobs silence
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_kinds_come_back_pixel_for_pixel(kind, options):
    assert np.array_equal(decode(file_of(scene(), kind, **options)), scene())


@pytest.mark.parametrize(("kind", "options"), LOSSY)
def test_lossy_kinds_come_back_nearly(kind, options):
    got = decode(
        file_of(blocks(), kind, subsampling="4:4:4", **options)
        if kind == "AVIF"
        else file_of(blocks(), kind, subsampling=0, **options)
    )
    assert np.abs(got.astype(int) - blocks()).mean() < 4


def test_jpeg_decodes_to_the_pixels_of_pillow():
    data = file_of(blocks(), "JPEG", quality=90)
    assert np.abs(decode(data).astype(int) - np.asarray(Image.open(io.BytesIO(data)))).max() <= 1


def test_a_memoryview_is_as_good_as_bytes():
    data = file_of(scene(), "JPEG")
    assert np.array_equal(decode(memoryview(b"xx" + data)[2:]), decode(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_channel_is_luma(kind):
    got = decode(file_of(blocks(), kind), channels=1)
    assert got.shape == (120, 160, 1)
    luma = np.asarray(Image.open(io.BytesIO(file_of(blocks(), kind))).convert("L"))
    assert np.abs(got[..., 0].astype(int) - luma).mean() < 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_gray_becomes_three_equal_channels(kind):
    gray = scene()[..., 0]
    got = decode(file_of(gray, kind, **({"quality": 100} if kind == "JPEG" else {})))
    assert np.array_equal(got[..., 0], got[..., 1])
    assert np.array_equal(got[..., 0], got[..., 2])
    assert np.abs(got[..., 0].astype(int) - gray).max() <= 2


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_every_exif_orientation_is_turned_upright_pixel_for_pixel(kind, turn):
    shown = scene(48, 64)
    inverse = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.swapaxes(0, 1),
        6: np.rot90(shown, 1),  # stored counter-clockwise, to be turned clockwise
        7: shown[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(shown, -1),
    }[turn]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = file_of(np.ascontiguousarray(inverse), kind, exif=exif(turn), **options)
    assert np.array_equal(decode(data), shown)


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_oriented_jpeg_is_exactly_its_plain_pixels_turned(turn):
    stored = blocks(48, 64)
    plain = decode(file_of(stored, "JPEG"))
    turned = decode(file_of(stored, "JPEG", exif=exif(turn)))
    transpose = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # PIL.Image.Transpose, as ImageOps.exif_transpose has it
    expected = Image.fromarray(plain)
    if turn != 1:
        expected = expected.transpose(Image.Transpose(transpose[turn]))
    assert np.array_equal(turned, np.asarray(expected))


def test_damaged_exif_means_upright():
    data = file_of(scene(), "JPEG", exif=exif(6))
    at = data.index(b"Exif\0\0") + 6
    assert decode(data[:at] + b"MM\0*\xff\xff\xff\xff" + data[at + 8 :]).shape == (120, 160, 3)


def test_cmyk_jpeg_has_the_colours_of_pillow():
    cmyk = Image.fromarray(blocks()).convert("CMYK")
    got = decode(file_of(cmyk, "JPEG", quality=95))
    assert np.abs(got.astype(int) - blocks()).mean() < 6


def test_transparency_shows_white():
    rgba = np.dstack([scene(), np.zeros((120, 160), np.uint8)])
    rgba[:60, :, 3] = 255
    got = decode(file_of(rgba, "PNG"))
    assert np.array_equal(got[:60], scene()[:60])
    assert (got[60:] == 255).all()


def test_half_transparency_is_mixed_with_white():
    rgba = np.full((4, 4, 4), (100, 50, 0, 128), np.uint8)
    assert decode(file_of(rgba, "PNG"))[0, 0].tolist() == [177, 152, 127]


@pytest.mark.parametrize("mode", ["LA", "PA", "P"])
def test_transparent_gray_and_palette_show_white(mode):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[4:, :, 3] = 255
    image = Image.fromarray(rgba)
    if mode == "LA":
        data = file_of(image.convert("LA"), "PNG")
    else:
        palette = Image.fromarray(np.r_[np.zeros((4, 8), np.uint8), np.ones((4, 8), np.uint8)]).convert("P")
        palette.putpalette([9, 9, 9, 0, 0, 0])
        data = file_of(palette, "PNG", transparency=0 if mode == "P" else bytes([0, 255]))
    got = decode(data)
    assert (got[:4] == 255).all()
    assert (got[4:] == 0).all()


def test_sixteen_bit_gray_keeps_its_upper_byte_instead_of_clipping():
    gray = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    for kind in ("PNG", "TIFF"):
        got = decode(file_of(gray, kind), channels=1)
        assert np.array_equal(got[..., 0], (gray >> 8).astype(np.uint8))


def test_32_bit_values_are_refused_where_they_have_no_agreed_white():
    assert decode(file_of(np.full((4, 4), 4096, np.int32), "TIFF"))[0, 0, 0] == 16
    with pytest.raises(BadImage, match="no agreed white"):
        decode(file_of(np.full((4, 4), 1 << 20, np.int32), "TIFF"))
    with pytest.raises(BadImage, match="mode F"):
        decode(file_of(np.full((4, 4), 0.5, np.float32), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    first, second = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    data = file_of(Image.fromarray(first), kind, save_all=True, append_images=[Image.fromarray(second)])
    assert (decode(data) == 0).all()


@pytest.mark.parametrize(("kind", "options"), [*LOSSLESS, *LOSSY, ("GIF", {})])
@pytest.mark.parametrize("share", range(0, 100, 10))
def test_a_file_cut_anywhere_is_refused_with_one_sentence(kind, options, share):
    data = file_of(blocks(), kind, **options)
    with pytest.raises(BadImage, match=r"(truncated|cut short|damaged|no bytes|not an image)") as refusal:
        decode(data[: len(data) * share // 100])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_end_marker_is_whole_and_one_without_pixels_is_not(options):
    data = file_of(blocks(), "JPEG", **options)
    assert np.array_equal(decode(data[:-2]), decode(data))
    with pytest.raises(TruncatedImage, match="send the whole file"):
        decode(data[:-60])


def test_training_may_ask_for_what_is_left_of_a_truncated_jpeg():
    data = file_of(blocks(), "JPEG", subsampling=0)
    half = decode(data[: len(data) // 2], allow_truncated=True)
    assert np.array_equal(half[:24], decode(data)[:24])
    with pytest.raises(TruncatedImage):
        decode(file_of(blocks(), "PNG")[:-200], allow_truncated=True)


def test_cover_reduces_but_still_covers():
    for kind in ("JPEG", "PNG"):
        data = file_of(scene(601, 1003), kind)
        for cover, shape in {
            (301, 10): (301, 502),
            (302, 10): (601, 1003),
            (75, 75): (76, 126),
            (1, 1): (76, 126),
        }.items():
            assert decode(data, cover=cover).shape == (*shape, 3)


def test_cover_is_meant_for_the_upright_picture():
    data = file_of(scene(200, 400), "JPEG", exif=exif(6))  # upright: 400 high, 200 wide
    assert decode(data, cover=(200, 100)).shape == (200, 100, 3)
    assert decode(data, cover=(100, 200)).shape == (400, 200, 3)


def test_a_reduced_picture_looks_like_the_whole_one():
    for kind in ("JPEG", "PNG"):
        data = file_of(scene(512, 512)[..., :2].repeat(2, -1)[..., :3], kind)
        whole, eighth = decode(data).astype(float), decode(data, cover=(64, 64)).astype(float)
        means = whole.reshape(64, 8, 64, 8, 3).mean((1, 3))
        assert np.abs(eighth - means).max() < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there are no bytes"),
        (b"hello", r"these 5 bytes are not an image; they start with b'hello'"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "export the photo as JPEG"),
        (b"\xff\xd8\xff", "cannot be opened"),
        (b"BM but not a bitmap", "not an image"),
    ],
)
def test_what_is_no_image_is_said_in_one_sentence(data, reason):
    with pytest.raises(BadImage, match=reason):
        decode(data)


WHOLE = {kind: file_of(blocks(24, 32), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")}


@settings(deadline=None, max_examples=150)
@given(data=st.binary(max_size=200), start=st.sampled_from([b"", *(d[:24] for d in WHOLE.values())]))
@example(data=b"", start=b"II*\0")
def test_any_bytes_are_an_image_or_a_bad_image(data, start):
    check(start + data)


@settings(deadline=None, max_examples=300)
@given(kind=st.sampled_from(sorted(WHOLE)), at=st.integers(0, 2000), new=st.binary(min_size=1, max_size=8))
def test_any_damage_leaves_an_image_or_a_bad_image(kind, at, new):
    data = bytearray(WHOLE[kind])
    at %= len(data)
    data[at : at + len(new)] = new
    check(bytes(data))


def check(data: bytes) -> None:
    try:
        pixels = decode(data)
    except BadImage as refusal:
        assert str(refusal)  # noqa: PT017 - either way is right
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
