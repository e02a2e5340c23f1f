"""Images in .rec files, as far as they can be read: what comes before a damaged place is still looked at."""

import bisect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from darkroom.formats.recordio import RecordError, RecordFile, records, unpack_image
from darkroom.inspection.datasets import DatasetError, Remark, class_names, label_rows, refuse_large

BROKEN = "damaged records"


@dataclass
class Records:
    """The records of one or several files, one file after the other."""

    title: str
    files: Sequence[tuple[str, Sequence[memoryview] | RecordFile]]
    labels: npt.NDArray[np.float32]
    names: Sequence[str] = ()
    remarks: Sequence[Remark] = ()
    kind: str = "RecordIO"

    def __post_init__(self) -> None:
        self._ends = list(accumulate(len(payloads) for _, payloads in self.files))

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, k: int) -> str:
        file, inside = self._place(k)
        return f"record {inside} of {self.files[file][0]}"

    def suffix(self, k: int) -> str:
        return ""

    def size(self, k: int) -> int:
        file, inside = self._place(k)
        return len(self.files[file][1][inside])

    def read(self, k: int) -> bytes:
        file, inside = self._place(k)
        _, data = unpack_image(self.files[file][1][inside])
        refuse_large(len(data))
        return bytes(data)

    def _place(self, k: int) -> tuple[int, int]:
        file = bisect.bisect_right(self._ends, k)
        return file, k - (self._ends[file - 1] if file else 0)


def open_records(paths: Sequence[Path], title: str) -> Records:
    """Raises DatasetError where no file holds a record."""
    files, labels, remarks = [], list[npt.NDArray[np.float32]](), list[Remark]()
    for path in paths:
        payloads = _payloads(path, remarks)
        for number in range(len(payloads)):
            try:
                labels.append(unpack_image(payloads[number])[0].label)
            except RecordError:
                labels.append(np.zeros(0, np.float32))  # said when the image is read
        _check_index(path, payloads, remarks)
        files.append((path.name, payloads))
    if not labels:
        said = f": {remarks[0].said}" if remarks else "; look at what im2rec printed when it was made"
        raise DatasetError(f"{title} holds no record{said}")
    return Records(title, files, label_rows(labels), class_names(paths[0].parent), remarks)


def _payloads(path: Path, remarks: list[Remark]) -> Sequence[memoryview] | RecordFile:
    try:
        return RecordFile(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    except RecordError as error:
        found = list[memoryview]()
        with suppress(RecordError):
            for payload in records(path):
                found.append(payload)
        remarks.append(Remark(BROKEN, f"{error}; the {len(found)} records before it are looked at"))
        return found


def _check_index(path: Path, payloads: Sequence[memoryview] | RecordFile, remarks: list[Remark]) -> None:
    """The .idx beside it, where there is one, names every record's offset."""
    index = path.with_suffix(".idx")
    if not isinstance(payloads, RecordFile) or not index.is_file():
        return
    try:
        offsets = sorted(int(line.split()[1]) for line in index.read_text("ascii").splitlines() if line.strip())
    except (ValueError, IndexError):
        remarks.append(Remark("the index", f"{index.name} is no index: each line is a key and an offset"))
        return
    if offsets != payloads.offsets.tolist():
        said = f"{index.name} does not fit {path.name}: it names {len(offsets)} records of {len(payloads)}"
        remarks.append(Remark("the index", f"{said}; make both again with im2rec"))
