"""Labelled images as they lie in the channels: records of .rec files, files that a .lst names, files in class folders.

Knows where the bytes are and what to call each image in a message; decodes nothing and judges no label.
"""

import bisect
import os
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.failures import CustomerError
from darkroom.formats.folders import Sample
from darkroom.formats.lst import LstLine
from darkroom.formats.recordio import RecordError, RecordFile

Bytes = bytes | memoryview


class Samples(Protocol):
    """Positions are 0 … len-1. Threads may share one."""

    labels: Sequence[npt.NDArray[np.float32]]  # each (labels of the image,)

    def __len__(self) -> int: ...

    def read(self, position: int) -> Bytes:
        """The encoded image. Raises OSError."""
        ...

    def name(self, position: int) -> str:
        """What to call it in a message."""
        ...


class RecordSamples:
    """The records of one or several .rec files, one file after the other. Raises CustomerError for a broken file.

    ``lines``: of an augmented manifest, that they came of one by one; it is all that a user knows of them.
    """

    def __init__(self, paths: Sequence[Path], lines: Sequence[int] = ()) -> None:
        self._lines = lines
        try:
            self.files = [RecordFile(path) for path in paths]
            self.labels = _compact(file.image(k)[0].label for file in self.files for k in range(len(file)))
        except RecordError as error:
            raise CustomerError(f"Unable to read the RecordIO file: {error}") from error
        self._ends = list(accumulate(len(file) for file in self.files))

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, position: int) -> Bytes:
        file, inside = self.place(position)
        return file.image(inside)[1]

    def name(self, position: int) -> str:
        if self._lines:
            return f"the image of line {self._lines[position]} of the augmented manifest"
        file, inside = self.place(position)
        return f"record {inside} of {file.path.name} (id {file.image(inside)[0].id})"

    def place(self, position: int) -> tuple[RecordFile, int]:
        """The file that holds it, and which of the file's records it is."""
        number = bisect.bisect_right(self._ends, position)
        return self.files[number], position - (self._ends[number - 1] if number else 0)


def _compact(labels: Iterable[npt.NDArray[np.float32]]) -> Sequence[npt.NDArray[np.float32]]:
    """(images, labels) in one array where every image has the same number: a list takes thirty times the memory."""
    values, widths = array("f"), array("I")
    for label in labels:
        values.frombytes(np.asarray(label, np.float32).tobytes())
        widths.append(len(label))
    flat = np.array(values, dtype=np.float32)
    if len(set(widths)) == 1:
        rows: Sequence[npt.NDArray[np.float32]] = flat.reshape(len(widths), -1)  # type: ignore[assignment]
        return rows
    return np.split(flat, np.cumsum(widths)[:-1]) if widths else []


class ListedSamples:
    """The images that the lines of a .lst name, below ``root``. Keeps no more of a line than its path and number."""

    def __init__(self, lines: Sequence[LstLine], lst: Path, root: Path) -> None:
        self.lst, self.root = lst, root
        self.paths, self._numbers = [line.path for line in lines], array("I", (line.number for line in lines))
        with np.errstate(over="ignore"):  # infinity is told of with the other labels that are none
            self.labels = _compact(np.array(line.labels, dtype=np.float32) for line in lines)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int) -> Bytes:
        return (self.root / self.paths[position]).read_bytes()

    def name(self, position: int) -> str:
        return f"{self.paths[position]} (line {self._numbers[position]} of {self.lst.name})"


class FolderSamples:
    """The images of class folders below ``root``: class k is ``classes[k]``, whose folder has its name."""

    def __init__(self, samples: Sequence[Sample], classes: tuple[str, ...], root: Path) -> None:
        self.classes, self.root = classes, root
        self._names = [os.path.relpath(sample.path, root) for sample in samples]  # a Path is five times as large
        self.labels = _compact(np.array([sample.label], dtype=np.float32) for sample in samples)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, position: int) -> Bytes:
        return (self.root / self._names[position]).read_bytes()

    def name(self, position: int) -> str:
        return self._names[position]
