"""What tests of the native runtime share."""

import pytest

from darkroom.runtimes import native

KERNELS = ["words", *(["matrices"] if native.has_matrices() else [])]


@pytest.fixture(params=KERNELS)
def kernels(request, monkeypatch):
    """Every set of kernels that this processor has, one after the other."""
    monkeypatch.setattr(native, "has_matrices", lambda: request.param == "matrices")
    return request.param
