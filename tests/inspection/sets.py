"""Small datasets of every kind, made here."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter
from tests.imaging.pictures import blocks, file_of


def photo(seed: int, height: int = 48, width: int = 64, kind: str = "JPEG") -> bytes:
    return file_of(blocks(height, width, seed), kind)


def folders(root: Path, **classes: int) -> Path:
    """Class folders with so many different photos each."""
    seed = 0
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.jpg").write_bytes(photo(seed))
            seed += 1
    return root


def close(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As chmod 000 does for all but root, who may run the tests."""
    scandir = os.scandir

    def refusing(path: str | os.PathLike[str] = "."):
        if Path(path) == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def record_file(path: Path, labels: list, images: list[bytes] | None = None) -> Path:
    with RecordWriter(path) as writer:
        for k, label in enumerate(labels):
            data = images[k] if images else photo(k)
            writer.write(pack_image(ImageHeader(np.atleast_1d(np.float32(label)), k), data), k)
    return path
