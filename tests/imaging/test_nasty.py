"""Every odd, damaged and hostile file there is, sample or made here: a picture or one sentence, within bounds."""

import csv
import io
import subprocess
import sys
import textwrap

import pytest
from PIL import Image

from darkroom.imaging.decode import MAX_PIXELS, MEMORY, BadImage, decode
from darkroom.imaging.preprocess import Preprocess
from tests.imaging.pictures import NASTY, huge_headers, needs_nasty, png_of_text, png_of_zeros, progressive_bomb

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")
SAMPLES = sorted(p.name for p in NASTY.iterdir() if p.suffix != ".csv") if NASTY.is_dir() else []
REFUSED = {  # not pillow__truncated_jpeg.jpg: all that it lacks is its end marker
    "libvips__truncated.jpg": "truncated",
    "pillow__bmp_b_reallybig.bmp": "too many pixels",
    "pillow__bmp_b_shortfile.bmp": "truncated",
    "pillow__broken.png": "cannot be opened",
    "pillow__broken_data_stream.png": "damaged",
    "pillow__decompression_bomb.gif": "too many pixels",
    "pillow__png_decompression_dos.png": "too large",
    "pillow__truncated_image.png": "truncated",
    "pillow__ultrahdr.jpg": "truncated",
    "pillow__zero_width.gif": "cannot be opened",
}


@needs_nasty
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_becomes_pixels_or_one_sentence(name):
    data = (NASTY / name).read_bytes()
    if name in REFUSED:
        with pytest.raises(BadImage, match=REFUSED[name]) as refusal:
            decode(data)
        assert "\n" not in str(refusal.value)
        return
    pixels = decode(data)
    with open(NASTY / "MANIFEST.csv", newline="") as file:
        header = next(row["header_seen_by_pillow_13"] for row in csv.DictReader(file) if row["file"] == name)
    width, height = sorted(map(int, header.split()[1].split("x")))
    assert sorted(pixels.shape[:2]) == [width, height]  # Exif may have swapped them
    assert Preprocess(32, 32, 1, 36).apply(data).shape == (32, 32, 1)


@pytest.mark.parametrize("name", sorted(huge_headers()))
def test_a_header_that_claims_too_much_is_refused_before_decoding(name):
    with pytest.raises(BadImage, match=r"(pixels|cannot be opened|damaged)"):
        decode(huge_headers()[name])


def test_text_that_unpacks_to_more_than_a_picture_is_refused():
    with pytest.raises(BadImage, match="too large"):
        decode(png_of_text(100_000_000))


def test_a_jpeg_of_endless_scans_is_refused():
    assert decode(progressive_bomb(64, 20)).shape == (64, 64, 3)
    with pytest.raises(BadImage, match="201 scans"):
        decode(progressive_bomb(1000, 200))


def test_the_largest_pictures_let_in_stay_within_the_budget(tmp_path):
    """Peak memory of a process of its own: a zip-bomb-like PNG and a progressive CMYK JPEG just under the limit."""
    program = """
        import sys
        from darkroom.imaging.decode import decode
        with open(sys.argv[1], "rb") as file:
            shape = decode(file.read(), cover=(256, 256)).shape
        assert min(shape[:2]) >= 256 and max(shape) < 2048, shape
        status = open("/proc/self/status").read().split()  # rusage would count the process that started this one
        print(status[status.index("VmHWM:") + 1])
    """
    side = int(MAX_PIXELS**0.5)
    cmyk = io.BytesIO()
    Image.new("CMYK", (side, side)).save(cmyk, "JPEG", progressive=True)
    for data in (png_of_zeros(side, side), cmyk.getvalue()):
        (tmp_path / "picture").write_bytes(data)
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), tmp_path / "picture"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert int(run.stdout) * 1024 < MEMORY.size_bytes + 100 * 2**20
