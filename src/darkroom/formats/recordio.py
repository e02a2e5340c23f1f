"""RecordIO: the ``.rec`` files of MXNet and SageMaker read, with the image header their records carry.

Knows framing and headers only: what is inside an image, or which label is right, is not asked here.

How a record is framed is told in ``framing``; ``writing`` writes them.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from darkroom.formats.framing import FIRST, FRAME, LAST, MAGIC, MAGIC_BYTES, MAX_LENGTH, MIDDLE, WHOLE
from darkroom.formats.writing import IMAGE, Payload, image_record

_LONGEST = MAX_LENGTH + len(MAGIC_BYTES)  # of the parts of one record together, each with what was cut out after it
_PIECE = 1 << 20  # bytes asked of a stream at a time

Source = str | os.PathLike[str] | Payload


class RecordError(ValueError):
    """The bytes are not the RecordIO they should be. ``file``, ``offset`` (bytes) and ``reason`` say where and why."""

    def __init__(self, file: str, offset: int, reason: str) -> None:
        super().__init__(f"{file}, byte {offset}: {reason}")
        self.file, self.offset, self.reason = file, offset, reason


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """What im2rec writes before the image bytes. ``label`` has shape (labels,); ``id`` is the index in the .lst."""

    label: npt.NDArray[np.float32]
    id: int
    id2: int = 0


def pack_image(header: ImageHeader, data: Payload) -> bytes:
    """Payload of one image record. One label goes into the header, several follow it. Raises ValueError."""
    labels = np.asarray(header.label, dtype="<f4").reshape(-1)
    return image_record(labels.tolist(), header.id, header.id2, data)


def unpack_image(payload: Payload, *, file: str = "record", offset: int = 0) -> tuple[ImageHeader, memoryview]:
    """Header and image bytes (a view into ``payload``). Raises RecordError naming ``file`` and ``offset``."""
    view = memoryview(payload)
    if len(view) < IMAGE.size:
        reason = f"the record has {len(view)} bytes, an image record at least 24; make the .rec with im2rec"
        raise RecordError(file, offset, reason)
    labels, label, identity, identity2 = IMAGE.unpack_from(view)
    if not labels:
        return ImageHeader(np.array([label], dtype=np.float32), identity, identity2), view[IMAGE.size :]
    end = IMAGE.size + 4 * labels
    if end > len(view):
        reason = f"the image header announces {labels} labels, more than the record holds; make the .rec with im2rec"
        raise RecordError(file, offset, reason)
    return ImageHeader(np.frombuffer(view[IMAGE.size : end], dtype="<f4"), identity, identity2), view[end:]


def records(source: Source) -> Iterator[memoryview]:
    """Payloads in order, of a file or of bytes in memory: whole records are views, split ones are joined."""
    frames = _Frames.of(source)
    offset = 0
    while offset < len(frames.view):
        payload, offset = frames.read(offset)
        yield payload


def stream(source: BinaryIO, name: str) -> Iterator[bytes]:
    """Payloads in order out of what can be read once only, such as a pipe; one is in memory at a time. ``name`` is for
    messages. Raises RecordError."""
    offset, parts, size = 0, list[bytes](), 0
    while header := source.read(FRAME.size):
        frames = _Frames(memoryview(header), name)
        if len(header) < FRAME.size:
            raise frames.error(offset, "it ends inside a record header; pack it again")
        flag, length = frames.header(0, at=offset)
        if (flag in (WHOLE, FIRST)) == bool(parts):
            raise frames.error(offset, "the parts of a split record are out of order; pack the file again")
        body = _read(source, length + -length % 4)
        if len(body) < length + -length % 4:
            raise frames.error(offset, f"the record announces {length} bytes but only {len(body)} follow")
        parts.append(body[:length])
        size += length + len(MAGIC_BYTES)
        if size > _LONGEST:
            raise frames.error(offset, "a split record is longer than 512 MiB, more than RecordIO holds; pack it again")
        offset += FRAME.size + len(body)
        if flag in (WHOLE, LAST):
            yield MAGIC_BYTES.join(parts)
            parts, size = [], 0
    if parts:
        raise RecordError(name, offset, "it ends before the last part of a split record; pack it again")


def _read(source: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer at the end of the stream. Memory follows what came, not what was announced."""
    first = source.read(min(size, _PIECE))
    if len(first) == size:
        return first
    pieces, missing = [first], size - len(first)
    while missing and pieces[-1]:
        pieces.append(source.read(min(missing, _PIECE)))
        missing -= len(pieces[-1])
    return b"".join(pieces)


def scan(source: Source) -> npt.NDArray[np.int64]:
    """Offsets (records,) of every record, reading frame headers only. Raises RecordError where the framing breaks."""
    return _Frames.of(source).offsets()


class RecordFile:
    """Random access to the records of a file by position. Threads may share one: reading changes nothing in it.

    The file is memory-mapped and must not shrink while this lives. Views stay valid after ``close``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._frames = _Frames.of(path)
        self.offsets = self._frames.offsets()

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, position: int) -> memoryview:
        return self._frames.read(int(self.offsets[position]))[0]

    def image(self, position: int) -> tuple[ImageHeader, memoryview]:
        """Header and image bytes of one record. Raises RecordError."""
        return unpack_image(self[position], file=self._frames.file, offset=int(self.offsets[position]))

    def close(self) -> None:
        self._frames = _Frames(memoryview(b""), self._frames.file)
        self.offsets = np.zeros(0, dtype=np.int64)

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Frames:
    """Bytes seen as frames. ``file`` names them in errors."""

    view: memoryview
    file: str

    @classmethod
    def of(cls, source: Source) -> "_Frames":
        if isinstance(source, bytes | bytearray | memoryview):
            return cls(memoryview(source).cast("B"), "record stream")
        with open(source, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return cls(memoryview(b""), str(source))  # an empty file cannot be mapped
            return cls(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), str(source))

    def offsets(self) -> npt.NDArray[np.int64]:
        offsets, offset, size = [], 0, len(self.view)
        while offset < size:
            offsets.append(offset)
            flag, _, _, offset = self.frame(offset)
            if flag != WHOLE:
                offset = self.read(offsets[-1])[1]
        return np.array(offsets, dtype=np.int64)

    def read(self, offset: int) -> tuple[memoryview, int]:
        """Payload of the record at ``offset``, and the offset after it."""
        flag, begin, end, after = self.frame(offset)
        if flag == WHOLE:
            return self.view[begin:end], after
        if flag != FIRST:
            raise self.error(offset, "a record begins with the later part of a split one; pack the file again")
        parts = [self.view[begin:end]]
        while flag != LAST:
            if after == len(self.view):
                raise self.error(offset, "the file ends before the last part of a split record; copy or pack it again")
            here = after
            flag, begin, end, after = self.frame(here)
            if flag not in (MIDDLE, LAST):
                raise self.error(here, "a new record begins before the split one is complete; pack the file again")
            parts.append(self.view[begin:end])
        return memoryview(MAGIC_BYTES.join(parts)), after

    def frame(self, offset: int) -> tuple[int, int, int, int]:
        """Flag, begin and end of the payload, and end of the padding. Every frame ends past its ``offset``."""
        if offset + FRAME.size > len(self.view):
            raise self.error(offset, "the file ends inside a record header; copy or pack it again")
        flag, length = self.header(offset, at=offset)
        begin = offset + FRAME.size
        end = begin + length
        after = end + -length % 4
        if after > len(self.view):
            reason = f"the record announces {length} bytes but the file ends after {len(self.view) - begin}"
            raise self.error(offset, f"{reason}; copy or pack it again")
        return flag, begin, end, after

    def header(self, offset: int, at: int) -> tuple[int, int]:
        """Flag and length of the frame whose header lies at ``offset``; ``at`` is the place that an error names."""
        magic, word = FRAME.unpack_from(self.view, offset)
        if magic != MAGIC:
            reason = f"expected the RecordIO magic ced7230a, found {magic:08x}; is this a .rec file made by im2rec?"
            raise self.error(at, reason)
        flag, length = word >> 29, word & MAX_LENGTH
        if flag > LAST:
            raise self.error(at, f"the record has the unknown flag {flag}; pack the file again")
        return flag, length

    def error(self, offset: int, reason: str) -> RecordError:
        return RecordError(self.file, offset, reason)
