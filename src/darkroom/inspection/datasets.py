"""Labelled images wherever they lie - class folders, a .lst with its folder, .rec files - seen as one kind of thing.

Reads names, labels and bytes; what is odd about the place itself is remarked, never raised, so that everything else can
still be looked at. Knows no pixels.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

MAX_BYTES = 1 << 28  # of one image; what is larger is no photo and is not read

MOST_CLASSES = 1 << 24  # as far as float32, which labels are, tells whole numbers apart
CLASS_FOLDERS = "class folders"  # a kind of dataset
UNREADABLE = "folders that cannot be read"  # a kind of remark
# What a terminal would obey: control characters, and those that turn the direction of writing. Spaces of other scripts,
# joined emoji and the like are text.
COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class DatasetError(ValueError):
    """There is nothing to look at; the message says what a dataset is."""


@dataclass(frozen=True)
class Remark:
    """Something odd that is no single image's fault. ``kind`` groups them."""

    kind: str
    said: str


class Dataset(Protocol):
    """Images k = 0 … len-1. Threads may share one."""

    title: str
    kind: str  # what it is, in words
    names: Sequence[str]  # of the classes, where somebody named them
    labels: npt.NDArray[np.float32]  # (images, most labels of one); nan where there is none
    remarks: Sequence[Remark]

    def __len__(self) -> int: ...

    def name(self, k: int) -> str:
        """What to call it; printable text."""
        ...

    def suffix(self, k: int) -> str:
        """Of its file name, in small letters; empty where it has none of its own."""
        ...

    def size(self, k: int) -> int:
        """Bytes. Raises OSError or ValueError."""
        ...

    def read(self, k: int) -> bytes:
        """Its bytes. Raises OSError or ValueError with a reason."""
        ...


@dataclass
class Files:
    """Images that are files: class folders, or the lines of a .lst."""

    title: str
    kind: str
    root: Path
    paths: Sequence[str]  # relative to root, or absolute
    labels: npt.NDArray[np.float32]
    names: Sequence[str] = ()
    remarks: Sequence[Remark] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, k: int) -> str:
        return printable(self.paths[k])

    def suffix(self, k: int) -> str:
        return os.path.splitext(self.paths[k])[1].lower()

    def size(self, k: int) -> int:
        return os.stat(os.path.join(self.root, self.paths[k])).st_size

    def read(self, k: int) -> bytes:
        path = os.path.join(self.root, self.paths[k])
        try:
            found = os.stat(path)
        except FileNotFoundError:
            if os.path.islink(path):
                raise ValueError("a link that leads nowhere") from None
            raise ValueError("there is no such file") from None
        if not stat.S_ISREG(found.st_mode):  # a named pipe would wait for ever
            raise ValueError("this is no file")
        refuse_large(found.st_size)
        with open(path, "rb") as file:
            return file.read()


def refuse_large(size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise ValueError(f"{size_bytes >> 20} MiB are too many for a photo; at most {MAX_BYTES >> 20} are read")


def printable(text: str) -> str:
    """File names need not be text, and may try to move the cursor."""
    return COMMANDS.sub("\N{REPLACEMENT CHARACTER}", os.fsencode(text).decode("utf-8", "replace"))


def label_rows(labels: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float32]:
    """(images, most labels of one): rows that are shorter end in nan; what is beyond float32 is infinite."""
    with np.errstate(over="ignore"):
        arrays = [np.asarray(label, dtype=np.float32) for label in labels]
    rows = np.full((len(arrays), max(map(len, arrays), default=1)), np.nan, dtype=np.float32)
    for row, label in zip(rows, arrays, strict=True):
        row[: len(label)] = label
    return rows


def class_names(folder: Path) -> tuple[str, ...]:
    """Of classes.txt or labels.txt in a folder, one name a line; none where there is no such file."""
    for path in (folder / "classes.txt", folder / "labels.txt"):
        if path.is_file():
            lines = path.read_text("utf-8", "replace").splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    return ()


def class_name(dataset: Dataset, label: int) -> str:
    return printable(dataset.names[label]) if 0 <= label < len(dataset.names) else str(label)


def class_ids(dataset: Dataset) -> npt.NDArray[np.int64]:
    """(images,) of those that have one whole label that can be a class, -1 of all others."""
    first = dataset.labels[:, 0]
    good = np.isfinite(first) & (first == np.floor(first)) & (first >= 0) & (first < MOST_CLASSES)
    if dataset.labels.shape[1] > 1:
        good &= np.isnan(dataset.labels[:, 1:]).all(axis=1)
    return np.where(good, first, -1).astype(np.int64)


def single_labels(dataset: Dataset) -> Iterator[tuple[int, int]]:
    """(image, class) of every image that has one whole label that can be a class."""
    ids = class_ids(dataset)
    yield from ((k, int(ids[k])) for k in np.flatnonzero(ids >= 0).tolist())
