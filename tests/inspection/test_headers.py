"""Headers say what Pillow says of the same bytes, whatever the kind, and nothing of bytes that are no image."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from darkroom.inspection.headers import header, looks_whole
from tests.imaging.pictures import NASTY, exif, file_of, needs_nasty, scene

PICTURES = {
    "JPEG": ("colour", Image.fromarray(scene()), {}),
    "JPEG grey": ("grey", Image.fromarray(scene()).convert("L"), {}),
    "JPEG cmyk": ("CMYK", Image.fromarray(scene()).convert("CMYK"), {}),
    "JPEG progressive": ("colour", Image.fromarray(scene()), {"progressive": True}),
    "PNG": ("colour", Image.fromarray(scene()), {}),
    "PNG grey": ("grey", Image.fromarray(scene()).convert("L"), {}),
    "PNG transparent": ("transparent", Image.fromarray(scene()).convert("RGBA"), {}),
    "PNG palette": ("palette", Image.fromarray(scene()).convert("P"), {}),
    "PNG see-through palette": ("transparent", Image.fromarray(scene()).convert("P"), {"transparency": 3}),
    "GIF": ("palette", Image.fromarray(scene()).convert("P"), {}),
    "BMP": ("colour", Image.fromarray(scene()), {}),
    "WEBP": ("colour", Image.fromarray(scene()), {}),
    "WEBP lossless": ("colour", Image.fromarray(scene()), {"lossless": True}),
    "WEBP transparent": ("transparent", Image.fromarray(np.dstack([scene(), scene()[..., 0]])), {}),
    "TIFF": ("colour", Image.fromarray(scene()), {}),
    "TIFF cmyk": ("CMYK", Image.fromarray(scene()).convert("CMYK"), {}),
    "AVIF": ("colour", Image.fromarray(scene()), {}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_size_and_colours(name):
    mode, picture, options = PICTURES[name]
    data = file_of(picture, name.split()[0], **options)
    found = header(data)
    assert found is not None
    assert (found.kind, found.width, found.height, found.mode) == (name.split()[0], 160, 120, mode)
    assert not found.turned


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_the_camera_s_mark_turns_the_size(kind, turn):
    found = header(file_of(scene(), kind, exif=exif(turn)))
    assert found is not None
    assert (found.width, found.height) == ((120, 160) if turn >= 5 else (160, 120))
    assert found.turned == (turn != 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_file_that_was_cut_does_not_look_whole(kind):
    data = file_of(scene(), kind)
    assert looks_whole(data)
    assert not looks_whole(data[: len(data) * 2 // 3])


@needs_nasty
@pytest.mark.parametrize("path", sorted(NASTY.glob("*.*g")) + sorted(NASTY.glob("*.webp")), ids=lambda path: path.name)
def test_odd_files_have_the_size_that_pillow_finds(path: Path):
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            expected = image.size
    except Exception:
        header(data)  # whatever it says, it says it
        return
    found = header(data)
    assert found is not None
    assert {found.width, found.height} == set(expected)


@given(st.sampled_from(sorted(PICTURES)), st.integers(0, 2000), st.binary(max_size=40))
def test_no_bytes_make_it_fail(name, at, junk):
    _, picture, options = PICTURES[name]
    data = file_of(picture.resize((8, 8)), name.split()[0], **options)
    at = min(at, len(data))
    header(data[:at] + junk + data[at + len(junk) :])
    looks_whole(data[:at])
    header(junk)
