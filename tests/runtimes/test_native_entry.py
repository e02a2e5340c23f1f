"""Both ways from Python into the library: the one that Python's headers build, and ctypes."""

import importlib

import numpy as np
import pytest

from darkroom.runtimes import native, registry
from darkroom.runtimes.base import Settings
from tests.runtimes.quantised import post_activation, quantised, smooth, write

pytestmark = pytest.mark.skipif(not native.able(), reason=native.NEEDS)

ENTRIES = list(dict.fromkeys([native.entry(), native._by_ctypes]))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    model = quantised(post_activation((16,), 8), 8, additions=True)
    return write(tmp_path_factory.mktemp("entry"), model, 8)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_array_of_photos_gets_the_same_answers(entry, compiled, monkeypatch):
    photos = smooth(3, 8)
    expected = registry.runtime("native").load(compiled, Settings(threads=1)).predict(photos)
    monkeypatch.setattr(native, "entry", lambda: entry)
    loaded = registry.runtime("native").load(compiled, Settings(threads=2))
    held = np.frombuffer(photos.tobytes(), np.uint8).reshape(photos.shape)
    turned = np.asfortranarray(photos)
    for given in (photos, held, turned, photos[::-1][::-1], np.repeat(photos, 2, axis=2)[:, :, ::2]):
        np.testing.assert_array_equal(loaded.predict(given), expected)
        np.testing.assert_array_equal(loaded.predict(given[1:2]), expected[1:2])


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_no_photo_is_no_crash(entry):
    floats = np.zeros((1, 16), np.float32)
    for photos in (None, 7, "photo", [1, 2]):
        with pytest.raises((TypeError, AttributeError)):
            entry(1, photos, floats, 1)
    with pytest.raises(TypeError):
        entry(1)


def test_without_pythons_headers_ctypes_calls(monkeypatch):
    def missing(name):
        raise ImportError(f"dynamic module does not define module export function (PyInit_{name})")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert native.entry.__wrapped__() is native._by_ctypes


def test_a_network_that_is_none_is_refused():
    found = native.entry()
    if found is not native._by_ctypes:
        with pytest.raises(ValueError, match="there is no network"):
            found(0, np.zeros(4, np.uint8), np.zeros(16, np.float32), 1)
        with pytest.raises(ValueError, match="no photo"):
            found(1, np.zeros(4, np.uint8), np.zeros(16, np.float32), 0)
