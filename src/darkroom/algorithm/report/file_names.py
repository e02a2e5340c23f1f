"""What images are called in the report: as their owner knows them, where a .lst beside a .rec tells.

Knows records and lists, and no pictures.
"""

from pathlib import Path

import numpy as np

from darkroom.algorithm.data.images import ImageSet
from darkroom.algorithm.data.samples import RecordSamples
from darkroom.formats.lst import LstError, LstLine, read_lst


class FileNames:
    """Of the images of a set, by their number. Each list is read once, when an image of its .rec is asked for."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self._lists = dict[Path, dict[int, LstLine]]()

    def __getitem__(self, k: int) -> str:
        samples = self._images.samples
        listed = self._listed(samples, int(self._images.positions[k])) if isinstance(samples, RecordSamples) else None
        return listed or self._images.name(k)

    def _listed(self, samples: RecordSamples, position: int) -> str | None:
        file, inside = samples.place(position)
        header = file.image(inside)[0]
        if file.path not in self._lists:
            self._lists[file.path] = _lines(file.path.with_suffix(".lst"))
        line = self._lists[file.path].get(header.id)
        # the list of another packing has other labels before long, and a wrong name is worse than none
        return line.path if line and np.array_equal(np.float32(line.labels), header.label) else None


def _lines(path: Path) -> dict[int, LstLine]:
    """By the id of the record; none where there is no list that can be read."""
    try:
        return {line.index: line for line in read_lst(path)} if path.is_file() else {}
    except (LstError, OSError):
        return {}
