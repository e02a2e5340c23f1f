import io
import json

import numpy as np
import pytest

from darkroom.serving.arrays import from_json, from_npy
from darkroom.serving.content import Refused


def saved(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", ">f8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_saves_is_read(dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 2, dtype, order=order)
    assert np.array_equal(from_npy(saved(array)), array)


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    padded = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(padded).to_bytes(2, "little") + padded


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "starts with b''; expected what numpy.save writes"),
        (saved(np.array([{}], object), allow_pickle=True), "holds object; expected numbers"),
        (saved(np.array(["a"])), "holds <U1"),
        (saved(np.array([1j])), "holds complex128"),
        (saved(np.zeros(10, np.float32))[:-1], r"float32 array of shape \[10\] has 40 bytes; found 39"),
        (header(HUGE), r"has 4000000000000 bytes; found 0"),
        (header(HUGE, b"\x09\x00"), "version"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "has -4 bytes"),
        (header("__import__('os').system('true')"), "header is damaged"),
        (b"\x93NUMPY", "header is damaged"),
    ],
)
def test_what_is_no_array_is_refused(body, reason):
    with pytest.raises(Refused, match=reason) as refusal:
        from_npy(body)
    assert refusal.value.status == 400


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"instances": rows}, lambda rows: {"data": rows}])
def test_json_holds_lists_or_names_them(wrap):
    array = from_json(json.dumps(wrap([[1, 2.5], [3, 4]])).encode())
    assert (array.dtype, array.tolist()) == (np.float32, [[1, 2.5], [3, 4]])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"[1, NaN]", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[[1, 2], [3]]", "unequal lengths"),
        (b'["1"]', "something else than numbers"),
        (b"[null]", "something else than numbers"),
        (b"3", "something else than numbers"),
        (b'{"image": [1]}', "the object has 'image'; expected nested lists of numbers"),
        (b"{}", "the object has no members"),
    ],
)
def test_other_json_is_refused(body, reason):
    with pytest.raises(Refused, match=reason) as refusal:
        from_json(body)
    assert refusal.value.status == 400
