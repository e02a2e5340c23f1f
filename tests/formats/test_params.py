"""The first container is what MXNet 1.9.1 wrote, byte by byte; the others are its older and newer forms."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.formats.params import MAX_ARRAYS, ParamsError, load, loads, save

WRITTEN = bytes.fromhex(
    "12010000000000000000000000000000 0100000000000000"  # magic, reserved, one array
    "c9fa93f9 00000000 01000000 0200000000000000 01000000 00000000 00000000 0000803f0000803f"
    "0100000000000000 0100000000000000 73"  # one name: "s"
)
DATA = np.arange(6, dtype="<f4")
CONTEXT = struct.pack("<ii", 1, 0)


def container(array: bytes, name: bytes = b"a") -> bytes:
    return struct.pack("<QQQ", 0x112, 0, 1) + array + struct.pack("<QQ", 1, len(name)) + name


def test_the_bytes_are_mxnets(tmp_path):
    save(tmp_path / "a.params", {"s": np.ones(2, dtype=np.float32)})
    assert (tmp_path / "a.params").read_bytes() == WRITTEN


types = st.sampled_from(["f4", "f8", "f2", "u1", "i4", "i1", "i8", "?"])


@settings(deadline=None)
@given(data=st.data())
def test_whatever_is_saved_is_loaded_again(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.params"
    arrays = {}
    for name in data.draw(st.lists(st.text(max_size=5), unique=True, max_size=4)):
        shape = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
        arrays[name] = np.random.default_rng(0).integers(0, 2, shape).astype(data.draw(types))
    save(path, arrays)
    loaded = load(path)
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_strided_and_big_endian_arrays_are_saved_in_order(tmp_path):
    array = np.arange(6, dtype=">i8").reshape(2, 3).T
    save(tmp_path / "a.params", {"t": array})
    np.testing.assert_array_equal(load(tmp_path / "a.params")["t"], array)


@pytest.mark.parametrize("array", [np.float32(1), np.zeros(2, complex), np.array(["text"])])
def test_what_mxnet_has_no_type_for_is_refused(tmp_path, array):
    with pytest.raises(ValueError, match="has no form"):
        save(tmp_path / "a.params", {"x": array})


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<I2I", 2, 2, 3),
        struct.pack("<Ii2q", 0xF993FAC8, 2, 2, 3),
        struct.pack("<Iii2q", 0xF993FAC9, 0, 2, 2, 3),
        struct.pack("<Iii2q", 0xF993FACA, 0, 2, 2, 3),
    ],
    ids=["V0", "V1", "V2", "V3"],
)
def test_every_generation_of_arrays_is_read(head):
    data = container(head + CONTEXT + struct.pack("<i", 0) + DATA.tobytes())
    np.testing.assert_array_equal(loads(data)["a"], DATA.reshape(2, 3))


def test_numpy_scalars_of_the_last_generation_are_read():
    array = loads(container(struct.pack("<Iii", 0xF993FACA, 0, 0) + CONTEXT + struct.pack("<if", 0, 3.0)))["a"]
    assert (array.shape, float(array)) == ((), 3.0)


def test_bfloat16_becomes_float32():
    head = struct.pack("<Iiiq", 0xF993FAC9, 0, 1, 2) + CONTEXT
    array = loads(container(head + struct.pack("<iHH", 12, 0x3F80, 0xC040)))["a"]
    assert (array.dtype, array.tolist()) == (np.float32, [1.0, -3.0])


def test_unnamed_arrays_are_numbered():
    assert list(loads(WRITTEN[:-17] + bytes(8))) == ["0"]


def with_(position: int, data: bytes) -> bytes:
    return WRITTEN[:position] + data + WRITTEN[position + len(data) :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\3\4" + bytes(20), "expected MXNet's magic 0x112, found 0x4034b50; is this a .params file"),
        (WRITTEN[:-1], "1 bytes should follow, the file has 0 more; it was cut off"),
        (WRITTEN[:60], "8 bytes should follow"),
        (with_(16, struct.pack("<Q", MAX_ARRAYS + 1)), "announces 100001 arrays"),
        (with_(28, struct.pack("<i", 2)), r"stored as csr; save it dense, with array.tostype\('default'\)"),
        (with_(28, struct.pack("<i", 9)), "stored as storage type 9"),
        (with_(32, struct.pack("<i", 99)), "announces 99 dimensions"),
        (with_(32, struct.pack("<i", -1)), "announces -1 dimensions"),
        (with_(36, struct.pack("<q", -5)), r"announces the shape \(-5,\)"),
        (with_(36, struct.pack("<q", 2**62)), r"announces the shape \(4611686018427387904,\)"),
        (with_(36, struct.pack("<q", 2**40)), "bytes should follow, the file has 25 more"),
        (with_(52, struct.pack("<i", 77)), "unknown type 77"),
        (with_(64, struct.pack("<Q", 3)), "names 3 of its 1 arrays"),
        (with_(72, struct.pack("<Q", 2**63)), "bytes should follow"),
        (WRITTEN[:-1] + b"\xff", "not UTF-8"),
    ],
)
def test_broken_files_are_named_with_their_place(tmp_path, data, reason):
    path = tmp_path / "broken.params"
    path.write_bytes(data)
    with pytest.raises(ParamsError, match=reason) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}, byte {caught.value.offset}: ")


def test_two_arrays_of_one_name_and_empty_files_are_refused(tmp_path):
    array = WRITTEN[24:64]
    names = struct.pack("<Q", 2) + 2 * (struct.pack("<Q", 1) + b"s")
    with pytest.raises(ParamsError, match="same name"):
        loads(struct.pack("<QQQ", 0x112, 0, 2) + 2 * array + names)
    (tmp_path / "empty.params").touch()
    with pytest.raises(ParamsError, match="the file is empty"):
        load(tmp_path / "empty.params")


def test_extents_that_no_memory_can_hold_are_refused_though_nothing_follows():
    head = struct.pack("<Iii4q", 0xF993FAC9, 0, 4, 0, 2**47, 2**47, 2**47)
    with pytest.raises(ParamsError, match="announces the shape"):
        loads(container(head + CONTEXT + struct.pack("<i", 0)))


@settings(max_examples=500)
@given(changes=st.lists(st.tuples(st.integers(0, len(WRITTEN) - 1), st.binary(min_size=1, max_size=8)), max_size=4))
def test_no_damage_hurts(changes):
    data = WRITTEN
    for position, change in changes:
        data = data[:position] + change + data[position + len(change) :]
    try:
        arrays = loads(data)
    except ParamsError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= 2 * len(data)


@settings(max_examples=300)
@given(data=st.binary(max_size=200))
def test_no_bytes_hurt(data):
    with pytest.raises(ParamsError):
        loads(struct.pack("<QQQ", 0x112, 0, 2) + data)
