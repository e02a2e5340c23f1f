"""The photos that a compilation may look at, as a training job's channels hold them, or a plain folder of photos.

They are evidence and no input: what cannot be read is left out, a channel without any says nothing. Decodes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from darkroom.compiler.guard import Label
from darkroom.contract.layout import Layout
from darkroom.formats import folders
from darkroom.formats.lst import LstError, read_lst
from darkroom.formats.recordio import RecordError, RecordFile

Labelled = Iterator[tuple[bytes, Label]]

NUMPY_SUFFIX = ".npy"
MAX_FILE_BYTES = 1 << 27  # larger ones are no photos


@dataclass(frozen=True)
class Evidence:
    """``calibration``: photos; ``validation``: photos and what is on them. None: there is no such channel."""

    calibration: Iterable[bytes] | None
    validation: Iterable[tuple[bytes, Label]] | None
    said: tuple[str, ...]  # where they come from, for the log


def gather(layout: Layout, *, multi_label: bool) -> Evidence:
    """A prefix that was named for calibration counts for more than the channels of the training job."""
    said: list[str] = []
    calibration: Iterable[bytes] | None = None
    if (prefix := layout.channel("calibration")).is_dir():
        calibration = chain((data for data, _ in _records(prefix, multi_label)), _files(prefix))
        said.append("Calibrates on the photos of the calibration prefix")
    elif (train := _channel(layout, "train", multi_label)) is not None:
        calibration = (data for data, _ in train)
        said.append("Calibrates on the train channel of the training job that made the model")
    validation = _channel(layout, "validation", multi_label)
    if validation is not None:
        said.append("Checks accuracy on the validation channel of the training job that made the model")
    return Evidence(calibration, validation, tuple(said) or ("No photos are at hand: nothing can be calibrated",))


def _channel(layout: Layout, name: str, multi_label: bool) -> Labelled | None:
    """As the algorithm reads it: records, images that a .lst names, or a folder of images for each class."""
    root, lists = layout.channel(name), layout.channel(f"{name}_lst")
    if not root.is_dir():
        return None
    if lists.is_dir():
        return _listed(root, lists, multi_label)
    if any(root.rglob("*.rec")):
        return _records(root, multi_label)
    return _class_folders(root, layout.channel("train"))


def _records(root: Path, multi_label: bool) -> Labelled:
    for path in sorted(root.rglob("*.rec")):
        try:
            with RecordFile(path) as file:
                for position in range(len(file)):
                    header, data = file.image(position)
                    yield bytes(data), _label(header.label, multi_label)
        except RecordError:
            continue  # training read them, so this one was changed since


def _listed(root: Path, lists: Path, multi_label: bool) -> Labelled:
    inside = root.resolve()
    for lst in sorted(lists.rglob("*.lst")):
        try:
            lines = read_lst(lst)
        except LstError:
            continue
        for line in lines:
            path = root / line.path
            if path.resolve().is_relative_to(inside) and _is_small(path):
                yield path.read_bytes(), _label(np.asarray(line.labels), multi_label)


def _class_folders(root: Path, train: Path) -> Labelled:
    """Class k is the k-th folder of the train channel."""
    try:
        classes = folders.scan(train if train.is_dir() else root).classes
        found = folders.scan(root)
    except folders.FolderError:
        return
    for sample in found.samples:
        name = found.classes[sample.label]
        if name in classes and _is_small(sample.path):
            yield sample.path.read_bytes(), classes.index(name)


def _files(root: Path) -> Iterator[bytes]:
    """Photos and arrays, whatever the folders in between."""
    for path in sorted(root.rglob("*")):
        if path.name.lower().endswith((*folders.SUFFIXES, NUMPY_SUFFIX)) and _is_small(path):
            yield path.read_bytes()


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_FILE_BYTES


def _label(label: np.ndarray, multi_label: bool) -> Label:
    return np.asarray(label) if multi_label else int(label[0])
