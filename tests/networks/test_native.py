"""The library of the parts in C: there where it was built, and none where it is one of another version."""

from pathlib import Path

from darkroom.networks import native

BUILT = sorted(Path(native.__file__).parent.glob("_native*.so"))


def test_what_was_built_has_all_that_is_called():
    """Else all that needs it would be skipped, and training would be slow for no reason that anybody sees. Without a C
    compiler there is no file, and no library."""
    assert (native.library() is not None) == bool(BUILT)


def test_a_library_of_another_version_is_none(monkeypatch):
    monkeypatch.setattr(native, "ARGUMENTS", native.ARGUMENTS | {"darkroom_of_tomorrow": []})
    assert native.library.__wrapped__() is None
