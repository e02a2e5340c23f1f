"""Every image of a dataset looked at once: header, ends, checksum, and where it is asked for or doubtful, all of it.

A few numbers an image are kept, never its bytes, so that memory stays flat. Threads read and decode; order decides
nothing. Judges nothing: ``findings`` does.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from darkroom.formats.recordio import RecordError
from darkroom.imaging.decode import BadImage, decode
from darkroom.imaging.signatures import KINDS
from darkroom.inspection.datasets import Dataset
from darkroom.inspection.headers import MODES, header, looks_whole

DECODED_UP_TO_BYTES = 512 << 20  # of all images together, unless somebody says otherwise
AT_ONCE = 32  # images in one task of a thread

ROWS, COLUMNS = 8, 9
MOST_SIDE = 2**32 - 1  # that a row can say
DOUBTFUL_PIXELS = 50_000_000  # decoding says whether so many are read

LOOK = np.dtype(
    [
        ("width", np.uint32),
        ("height", np.uint32),
        ("bytes", np.int64),
        ("kind", np.int8),  # of KINDS; -1: none
        ("mode", np.int8),  # of MODES; -1: not known
        ("turned", np.bool_),
        ("decoded", np.bool_),
        ("readable", np.bool_),
        ("digest", "V16"),
        ("small", np.uint8, (ROWS, COLUMNS)),  # the picture in a few grey values; zeros where it was not decoded
    ]
)


@dataclass(frozen=True, eq=False)
class Survey:
    """``looks`` (images,) of LOOK; ``faults`` says why an image cannot be read."""

    dataset: Dataset
    looks: npt.NDArray[np.void]
    faults: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.looks)

    @property
    def readable(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.looks["readable"])


def survey(dataset: Dataset, decode_all: bool | None, threads: int, step: Callable[[int], object]) -> Survey:
    """``decode_all`` None: where all of it is small enough to take seconds. ``step`` hears how many images were done
    since it last heard."""
    whole = decode_all if decode_all is not None else _size(dataset) <= DECODED_UP_TO_BYTES
    result = Survey(dataset, np.zeros(len(dataset), dtype=LOOK))

    def look(start: int) -> int:
        some = range(start, min(start + AT_ONCE, len(dataset)))
        for k in some:
            if fault := _look(dataset, k, result.looks[k : k + 1], whole):
                result.faults[k] = fault
        return len(some)

    with ThreadPoolExecutor(threads, "inspect") as pool:
        try:
            for done in pool.map(look, range(0, len(dataset), AT_ONCE)):
                step(done)
        finally:
            pool.shutdown(cancel_futures=True)  # who interrupts it need not wait for the rest
    return Survey(dataset, result.looks, dict(sorted(result.faults.items())))


def _size(dataset: Dataset) -> int:
    """Bytes of all images, as far as it costs nothing to know."""
    total = 0
    for k in range(len(dataset)):
        try:
            total += dataset.size(k)
        except (OSError, ValueError):
            continue
    return total


def _look(dataset: Dataset, k: int, out: npt.NDArray[np.void], whole: bool) -> str:
    """Fill in the one row of ``out``; returns why the image cannot be read, or nothing."""
    out["kind"], out["mode"] = -1, -1
    try:
        data = dataset.read(k)
    except RecordError as error:
        return error.reason
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    out["bytes"] = len(data)
    if not data:
        return "the file is empty"
    out["digest"] = np.void(hashlib.blake2b(data, digest_size=16).digest())
    found = header(data)
    if found is not None:
        out["kind"], out["mode"] = KINDS.index(found.kind), MODES.index(found.mode)
        out["width"], out["height"] = min(found.width, MOST_SIDE), min(found.height, MOST_SIDE)
        out["turned"] = found.turned
    doubtful = found is None or found.width * found.height > DOUBTFUL_PIXELS or not looks_whole(data)
    if whole or doubtful:
        try:
            pixels = decode(data, 1, (4 * ROWS, 4 * COLUMNS))
        except BadImage as error:
            return str(error)
        except MemoryError:
            return "decoding it takes more memory than there is"
        out["decoded"] = True
        out["small"] = cv2.resize(pixels, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    out["readable"] = True
    return ""
