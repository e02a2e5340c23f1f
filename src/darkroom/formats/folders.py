"""A folder of class folders: its classes and photos, a fair split of them, and their RecordIO file.

The label of a class is its place among the class folders in byte order, as ``im2rec --list --recursive`` numbers them.
Whether the bytes are a photo is for ``read`` to say: what it refuses is left out and reported.
"""

import os
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter

# HEIC is not read here, but to say so for each photo is kinder than to overlook them.
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif")
LOST_AND_FOUND = "lost+found"  # a file system's own folder, closed to all but root


class FolderError(ValueError):
    """The folder is not a folder of class folders; the message says what is missing."""


class ClosedFolderError(FolderError):
    """A class folder cannot be read; the message names it."""


@dataclass(frozen=True)
class Sample:
    path: Path
    label: int


@dataclass(frozen=True)
class Dataset:
    """``samples`` are ordered by class, then by path."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Packed:
    """What went into a .rec file, and which photos did not, with the reason."""

    count: int
    skipped: tuple[tuple[Path, str], ...]


def scan(folder: str | os.PathLike[str]) -> Dataset:
    """Photos below each class folder, at any depth. Folders without photos are no classes; hidden ones are ignored.

    Raises FolderError where there is no class folder with a photo in it, ClosedFolderError where one cannot be read:
    without it the others would have other labels.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FolderError(f"{root} is not a folder; name one that holds a folder of photos for each class")
    try:
        found = [(entry.name, photos) for entry in _visible_folders(root) if (photos := list(_photos(entry)))]
    except OSError as error:
        said = f"{error.filename} cannot be read ({error.strerror})"
        raise ClosedFolderError(f"{said}; make it readable, or move it elsewhere") from None
    if not found:
        reason = f"{root} has no folder with photos ({', '.join(SUFFIXES)}) in it"
        raise FolderError(f"{reason}; put the photos of each class into a folder named after the class")
    samples = [Sample(photo, label) for label, (_, photos) in enumerate(found) for photo in photos]
    return Dataset(tuple(name for name, _ in found), tuple(samples))


def split(dataset: Dataset, validation: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Training and validation samples, each in a random order that ``seed`` decides.

    Every class gives the fraction ``validation`` (0..1) of its photos, rounded, but keeps at least one for training and
    gives at least one where it has two. Raises ValueError.
    """
    if not 0 <= validation < 1:
        raise ValueError(f"the validation share {validation} must be at least 0 and below 1, for example 0.2")
    by_class = defaultdict[int, list[Sample]](list)
    for sample in dataset.samples:
        by_class[sample.label].append(sample)
    generator = random.Random(seed)
    train, held_out = list[Sample](), list[Sample]()
    for samples in by_class.values():
        generator.shuffle(samples)
        given = _share(len(samples), validation)
        held_out += samples[:given]
        train += samples[given:]
    generator.shuffle(train)
    generator.shuffle(held_out)
    return tuple(train), tuple(held_out)


def pack(
    samples: Sequence[Sample],
    rec_path: str | os.PathLike[str],
    on_progress: Callable[[int], None] | None = None,
    *,
    read: Callable[[Path], bytes] = Path.read_bytes,
    threads: int = 2,
) -> Packed:
    """Write ``rec_path`` and its .idx in the order of ``samples``; ids count the samples, skipped ones included.

    ``read`` gives the bytes to store, the file's own by default (``imaging.shrink`` makes them small); ``threads`` of
    them run at once. Where it raises OSError or ValueError the photo is skipped. ``on_progress`` hears the number of
    samples done. Raises what ``RecordWriter`` raises; then no file is left.
    """
    skipped = []
    with RecordWriter(rec_path) as writer, ThreadPoolExecutor(threads) as pool:
        contents = _read_ahead(pool, read, (sample.path for sample in samples), depth=2 * threads)
        for number, (sample, content) in enumerate(zip(samples, contents, strict=True)):
            try:
                payload = _record(sample, number, content.result())
            except (OSError, ValueError) as error:
                skipped.append((sample.path, str(error)))
            else:
                writer.write(payload, number)
            if on_progress:
                on_progress(number + 1)
    return Packed(writer.count, tuple(skipped))


def _read_ahead(
    pool: Executor, read: Callable[[Path], bytes], paths: Iterable[Path], depth: int
) -> Iterator[Future[bytes]]:
    """In order, and never more than ``depth`` photos in memory."""
    pending = deque[Future[bytes]]()
    for path in paths:
        pending.append(pool.submit(read, path))
        if len(pending) == depth:
            yield pending.popleft()
    yield from pending


def _record(sample: Sample, number: int, data: bytes) -> bytes:
    if not data:
        raise ValueError("the file is empty")
    return pack_image(ImageHeader(np.array([sample.label], dtype=np.float32), number), data)


def _share(count: int, fraction: float) -> int:
    if not fraction or count < 2:
        return 0
    return min(max(round(count * fraction), 1), count - 1)


def _visible_folders(root: Path) -> Iterable[Path]:
    folders = (entry for entry in root.iterdir() if entry.is_dir() and _visible(entry.name))
    return sorted(folders, key=lambda entry: os.fsencode(entry.name))


def _photos(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(filter(_visible, folders), key=os.fsencode)
        for name in sorted(filter(_visible, names), key=os.fsencode):
            if name.lower().endswith(SUFFIXES):
                yield Path(path, name)


def _raise(error: OSError) -> None:
    raise error


def _visible(name: str) -> bool:
    return not name.startswith((".", "__MACOSX")) and name != LOST_AND_FOUND
