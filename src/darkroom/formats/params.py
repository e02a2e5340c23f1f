"""MXNet's NDArray container: the ``.params`` files, little-endian, dense arrays of every type MXNet 1.x and 2.x writes.

Knows names, shapes and bytes; what a name means is for ``networks``. Sparse arrays are refused. Nothing in a file is
ever executed, and no announced length is believed before it is held against the size of the file.
"""

import math
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

FILE_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # i64 shapes; + storage type; the same with numpy's shapes
_BFLOAT16 = 12
_DTYPES = dict(enumerate(("<f4", "<f8", "<f2", "<u1", "<i4", "<i1", "<i8", "|b1", "<i2", "<u2", "<u4", "<u8")))
_CODES = {np.dtype(name): code for code, name in _DTYPES.items()}
_STORAGE = {1: "row_sparse", 2: "csr"}
_MAX_DIMENSIONS = 32
_MAX_EXTENT = 1 << 48
MAX_ARRAYS = 100_000  # the deepest network here has 1009; a hostile file could announce billions of empty ones
_CPU = struct.pack("<ii", 1, 0)

AnyArray = npt.NDArray[np.generic]


class ParamsError(ValueError):
    """The file is not a .params file Darkroom reads; ``file``, ``offset`` (bytes) and ``reason`` say where and why."""

    def __init__(self, file: str, offset: int, reason: str) -> None:
        super().__init__(f"{file}, byte {offset}: {reason}")
        self.file, self.offset, self.reason = file, offset, reason


def load(path: str | os.PathLike[str]) -> dict[str, AnyArray]:
    """Arrays by name, in the file's order, read-only views of the mapped file; bfloat16 becomes float32.

    A file of unnamed arrays gets the names "0", "1", …. Raises ParamsError.
    """
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ParamsError(str(path), 0, "the file is empty; copy it again")
        return _Reader(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), str(path)).container()


def loads(data: bytes, *, file: str = "params") -> dict[str, AnyArray]:
    """As ``load``, from bytes in memory."""
    return _Reader(memoryview(data), file).container()


def save(path: str | os.PathLike[str], arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write what ``mxnet.nd.save`` writes for the same arrays. Raises ValueError for a type MXNet does not have."""
    with open(path, "wb") as file:
        write(file, arrays)


def write(file: BinaryIO, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """As ``save``, into an open file."""
    file.write(struct.pack("<QQQ", FILE_MAGIC, 0, len(arrays)))
    for name, values in arrays.items():
        array = np.asarray(values)
        code = _CODES.get(array.dtype.newbyteorder("<"))
        if code is None or not array.ndim:
            raise ValueError(f"{name!r} ({array.dtype}, {array.ndim} dimensions) has no form in a .params file")
        file.write(struct.pack(f"<Iii{array.ndim}q", V2, 0, array.ndim, *array.shape))
        file.write(_CPU + struct.pack("<i", code))
        file.write(np.ascontiguousarray(array, dtype=_DTYPES[code]).data.cast("B") if array.size else b"")
    file.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode()
        file.write(struct.pack("<Q", len(encoded)) + encoded)


@dataclass
class _Reader:
    view: memoryview
    file: str
    offset: int = 0

    def container(self) -> dict[str, AnyArray]:
        magic, _, count = self.unpack("QQQ")
        if magic != FILE_MAGIC:
            raise self.error(f"expected MXNet's magic 0x112, found {magic:#x}; is this a .params file?", at=0)
        if count > MAX_ARRAYS:
            raise self.error(f"the file announces {count} arrays, more than any network has; copy it again", at=16)
        arrays = [self.array() for _ in range(count)]
        (names,) = self.unpack("Q")
        if names not in (0, count):
            raise self.error(f"the file names {names} of its {count} arrays; write it again with mxnet.nd.save")
        named = {(self.name() if names else str(position)): array for position, array in enumerate(arrays)}
        if len(named) != count:
            raise self.error("two arrays have the same name; write the file again with mxnet.nd.save")
        return named

    def array(self) -> AnyArray:
        (magic,) = self.unpack("I")
        if magic in (V2, V3):
            self.refuse_sparse(*self.unpack("i"))
        if magic in (V1, V2, V3):
            shape = self.shape(self.unpack("i")[0], code="q", scalar=magic == V3)
        else:
            shape = self.shape(magic, code="I")  # the first writers had no magic: this is the number of dimensions
        _, _, code = self.unpack("iii")  # device type and number: of no meaning here
        return self.values(shape, code)

    def refuse_sparse(self, storage: int) -> None:
        if storage:
            kind = _STORAGE.get(storage, f"storage type {storage}")
            raise self.error(f"the array is stored as {kind}; save it dense, with array.tostype('default')")

    def shape(self, dimensions: int, code: str, *, scalar: bool = False) -> tuple[int, ...]:
        if not (0 if scalar else 1) <= dimensions <= _MAX_DIMENSIONS:
            raise self.error(f"the array announces {dimensions} dimensions; copy the file again")
        shape = self.unpack(f"{dimensions}{code}")
        if any(not 0 <= extent <= _MAX_EXTENT for extent in shape):
            raise self.error(f"the array announces the shape {shape}; copy the file again")
        return shape

    def values(self, shape: tuple[int, ...], code: int) -> AnyArray:
        dtype = np.dtype("<u2" if code == _BFLOAT16 else _DTYPES.get(code, "V"))
        if not dtype.itemsize:
            raise self.error(f"the array has the unknown type {code}; save it as float32")
        raw = np.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype="u1")
        try:
            array = raw.view(dtype).reshape(shape)
        except ValueError:  # no elements, but extents that numpy cannot address
            raise self.error(f"the array announces the shape {shape}; copy the file again") from None
        if code == _BFLOAT16:
            return (array.astype("<u4") << 16).view("<f4")
        return array

    def name(self) -> str:
        (length,) = self.unpack("Q")
        begin = self.offset
        try:
            return bytes(self.take(length)).decode()
        except UnicodeDecodeError:
            raise self.error("the name of an array is not UTF-8 text; copy the file again", at=begin) from None

    def unpack(self, code: str) -> tuple[int, ...]:
        layout = struct.Struct("<" + code)
        return layout.unpack(self.take(layout.size))

    def take(self, size: int) -> memoryview:
        end = self.offset + size
        if end > len(self.view):
            reason = f"{size} bytes should follow, the file has {len(self.view) - self.offset} more"
            raise self.error(f"{reason}; it was cut off or is no .params file: copy it again")
        self.offset, begin = end, self.offset
        return self.view[begin:end]

    def error(self, reason: str, at: int | None = None) -> ParamsError:
        return ParamsError(self.file, self.offset if at is None else at, reason)
