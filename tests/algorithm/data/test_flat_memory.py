"""What an image costs in memory before it is looked at: its label and its place, whatever its size and number."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from darkroom.algorithm.data import order
from darkroom.algorithm.data.images import ImageSet, Memory, unreadable
from darkroom.algorithm.data.pipeline import batches
from darkroom.algorithm.data.samples import FolderSamples, ListedSamples, RecordSamples
from darkroom.algorithm.data.views import centre
from darkroom.formats.folders import Sample
from darkroom.formats.lst import LstLine
from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter

FEW, MANY, SIDE = 500, 8500, 8


def records(count: int, tmp_path: Path) -> RecordSamples:
    path = tmp_path / f"{count}.rec"
    with RecordWriter(path) as writer:
        for k in range(count):
            writer.write(pack_image(ImageHeader(np.array([k % 5], np.float32), k), bytes(300)), k)
    return RecordSamples([path])


def listed(count: int, tmp_path: Path) -> ListedSamples:
    lines = [LstLine(k, (float(k % 5),), f"class_{k % 5}/photo_{k:06d}.jpg", k + 1) for k in range(count)]
    return ListedSamples(lines, tmp_path / "a.lst", tmp_path)


def folders(count: int, tmp_path: Path) -> FolderSamples:
    samples = [Sample(tmp_path / f"class_{k % 5}" / f"photo_{k:06d}.jpg", k % 5) for k in range(count)]
    return FolderSamples(samples, tuple("abcde"), tmp_path)


def blank(data: bytes) -> np.ndarray:
    return np.zeros((SIDE, SIDE, 3), np.uint8)


def an_epoch(count: int, tmp_path: Path) -> None:
    """Checked, and gone through once; nothing is kept between epochs."""
    samples = records(count, tmp_path)
    images = ImageSet.of(samples, np.zeros(count, np.int64), blank, Memory(0))
    assert unreadable(images, threads=2) == {}
    orders = order.epoch_batches(count, 10, count // 10, seed=0, epoch=0)
    assert sum(len(batch.order) for batch in batches(images, orders, centre(images), (SIDE, SIDE, 3), 2)) == count


@pytest.mark.parametrize(
    ("make", "at_most", "peak"),
    [(records, 20, 200), (listed, 150, None), (folders, 180, None), (an_epoch, 20, 200)],
    ids=["records", "listed", "folders", "an epoch"],
)
def test_bytes_an_image(make, at_most, peak, tmp_path):
    def taken(count: int) -> tuple[int, int]:
        gc.collect()
        tracemalloc.start()
        try:
            kept = make(count, tmp_path)  # noqa: F841 - measured while it lives
            gc.collect()
            return tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    make(MANY, tmp_path)  # Python's table of names grows in leaps: let it be large enough before
    few, many = taken(FEW), taken(MANY)
    assert (many[0] - few[0]) / (MANY - FEW) < at_most
    if peak:
        assert (many[1] - few[1]) / (MANY - FEW) < peak
