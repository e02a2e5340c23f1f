"""Quantised networks by kernels of our own: the plan is made here, in Python, and C runs it (``network.h``).

``shorts`` rounds a graph of floats to 16 bits, ``simplify`` and ``chains`` read an ONNX graph as a list of layers,
``planes`` and ``packing`` give each tensor and weight a place in memory, ``plan`` writes down the steps, ``runtime``
runs them. What none of them knows is ``Unsupported``, and another runtime takes it.
"""

import ctypes
import functools
import importlib
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.runtimes.native.structures import Step

NEEDS = "it needs a processor with AVX-512 VNNI, and a C compiler where Darkroom is installed"

_BUILT = Path(__file__).with_name(f"_native{EXTENSION_SUFFIXES[0]}")  # what `import` takes too
_POINTER = ctypes.c_void_p
_CALLS: dict[str, tuple[list[Any], Any]] = {
    "darkroom_network_able": ([], ctypes.c_int),
    "darkroom_network_has_matrices": ([], ctypes.c_int),
    "darkroom_network_step_bytes": ([], ctypes.c_int64),
    "darkroom_network_new": ([_POINTER, ctypes.c_int64, ctypes.c_int, ctypes.c_int64, ctypes.c_int], _POINTER),
    "darkroom_network_free": ([_POINTER], None),
    "darkroom_network_run": ([*[_POINTER] * 3, *[ctypes.c_int64] * 3], None),
}


@functools.cache
def library() -> Any:
    """The library, or None where it was not built (there was no C compiler) or is one of another version."""
    with suppress(OSError, AttributeError):
        native = ctypes.CDLL(str(_BUILT))
        for name, (arguments, answer) in _CALLS.items():
            call = getattr(native, name)
            call.argtypes, call.restype = arguments, answer
        return native if native.darkroom_network_step_bytes() == ctypes.sizeof(Step) else None
    return None


@functools.cache
def entry() -> Callable[..., None]:
    """``run(network, photos, answers, count)`` of arrays in one piece: ``entry.h``, or ctypes where there were no
    headers of Python to build that with."""
    with suppress(ImportError):
        run: Callable[..., None] = importlib.import_module("darkroom.runtimes.native._native").run
        return run
    return _by_ctypes


def _by_ctypes(network: int, photos: np.ndarray, answers: np.ndarray, count: int) -> None:
    from_there, to_there = (ctypes.byref(ctypes.c_char.from_buffer(array.data)) for array in (photos, answers))
    apart = answers.size // count
    library().darkroom_network_run(network, from_there, to_there, count, photos.nbytes // count, apart)


def able() -> bool:
    """Whether the library is there and this processor has what its kernels are made for."""
    native = library()
    return native is not None and bool(native.darkroom_network_able())


@functools.cache
def has_matrices() -> bool:
    """Whether the processor multiplies matrices of bytes (AMX) and the system lets this process."""
    return able() and bool(library().darkroom_network_has_matrices())
