"""Bytes of an array, as .npy or JSON, → numbers that may be shown to a network. Any bytes are welcome; none can hurt.

Nothing is unpickled, and a header that promises more than the body holds is refused before anything is set aside for
it. Knows nothing of models: ``inputs`` says which shape fits.
"""

import io
import math

import numpy as np
import orjson
from numpy.lib import format as npy

from darkroom.serving.content import NUMPY_MAGIC, Refused

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
NUMBERS = "biuf"  # kinds of dtype: truth values, integers, floats
MEMBERS = ("instances", "inputs", "data")  # where other servers' clients put the array in a JSON object


def from_npy(data: bytes) -> np.ndarray:
    """What ``numpy.save`` wrote, of any real type; a view of ``data``. Raises Refused(400)."""
    if not data.startswith(NUMPY_MAGIC):
        raise _unreadable(f"the body is no .npy file: it starts with {data[:8]!r}; expected what numpy.save writes")
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        shape, fortran, dtype = HEADERS[version](file)
    except KeyError:
        raise _unreadable(f"the array is of .npy version {version}; expected 1.0 or 2.0") from None
    except Exception as error:  # the header is text of any kind
        raise _unreadable(f"the .npy header is damaged ({_one_line(error)}); expected what numpy.save writes") from None
    if dtype.hasobject or dtype.kind not in NUMBERS:
        raise _unreadable(f"the array holds {dtype}; expected numbers, such as float32 or uint8")
    found, promised = len(data) - file.tell(), math.prod(shape) * dtype.itemsize
    if found != promised:
        raise _unreadable(f"a {dtype} array of shape {list(shape)} has {promised} bytes; found {found}")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def from_json(data: bytes) -> np.ndarray:
    """float32, of nested lists of numbers, or an object that holds them under one of MEMBERS. Raises Refused(400)."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _unreadable(f"the body is no JSON: {error}") from None
    if isinstance(value, dict):
        named = [name for name in MEMBERS if name in value]
        if not named:
            raise _unreadable(
                f"the object has {', '.join(map(repr, list(value)[:5])) or 'no members'}; expected nested lists of "
                f"numbers, or an object that holds them as {' or '.join(map(repr, MEMBERS))}"
            )
        value = value[named[0]]
    try:
        array = np.asarray(value)
    except ValueError:
        raise _unreadable("the lists are of unequal lengths; expected as many numbers in each row") from None
    if not isinstance(value, list) or array.dtype.kind not in NUMBERS:
        raise _unreadable("the body holds something else than numbers; expected nested lists of them")
    return array.astype(np.float32)


def _unreadable(reason: str) -> Refused:
    return Refused(400, f"unable to evaluate payload provided: {reason}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
