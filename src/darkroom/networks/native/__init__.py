"""The parts in C, called by ctypes (which releases Python's lock): where the library lies and how it is called."""

import ctypes
import functools
from contextlib import suppress
from pathlib import Path
from typing import Any

WHOLE, REAL, SINGLE, POINTER, COUNT = ctypes.c_int64, ctypes.c_double, ctypes.c_float, ctypes.c_void_p, ctypes.c_int
# halves, rows, channels, weight, bias, eps, bounds
LAYER = [COUNT, WHOLE, WHOLE, POINTER, POINTER, REAL, SINGLE, SINGLE]
SHAPE = [WHOLE] * 5  # images, height, width, inputs, outputs
ARGUMENTS = {
    "darkroom_normalise": [*[POINTER] * 2, *LAYER, *[POINTER] * 4, REAL, COUNT],
    "darkroom_normalise_back": [*[POINTER] * 4, *LAYER, *[POINTER] * 4, COUNT],
    "darkroom_stem_forward": [*[POINTER] * 4, *[WHOLE] * 4, *[POINTER] * 2, REAL, *[POINTER] * 4, REAL, COUNT, COUNT],
    "darkroom_stem_backward": [*[POINTER] * 7, *[WHOLE] * 5, *[POINTER] * 2, REAL, *[POINTER] * 4, COUNT, COUNT],
    "darkroom_descend": [WHOLE, *[POINTER] * 4, *[SINGLE] * 3, COUNT],
    "darkroom_conv3x3": [*[POINTER] * 2, *[WHOLE] * 4, *[POINTER] * 2, *SHAPE, COUNT, COUNT],
    "darkroom_conv3x3_filters": [*[POINTER] * 3, *SHAPE, COUNT, COUNT],
    "darkroom_conv3x3_lanes": [],
}


@functools.cache
def library() -> Any:
    """The library, or None where it was not built (there was no C compiler) or is one of another version."""
    for path in sorted(Path(__file__).parent.glob("_native*.so"))[:1]:
        with suppress(OSError, AttributeError):
            native = ctypes.CDLL(str(path))
            for name, arguments in ARGUMENTS.items():
                getattr(native, name).argtypes = arguments
            return native
    return None


@functools.cache
def lanes() -> int:
    """How many numbers a register of this processor has, as far as the convolutions here know it; 0: not at all."""
    native = library()
    return 0 if native is None else int(native.darkroom_conv3x3_lanes())


def done(answer: int) -> None:
    """Raises MemoryError when a call says that it found none."""
    if not answer:
        raise MemoryError("a layer of the network found no memory for its sums; a smaller mini_batch_size needs less")
