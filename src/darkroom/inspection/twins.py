"""Images that are there twice: the same bytes, or nearly the same picture, in one dataset or in several.

Pure functions of surveys. A photo that lies in both training and validation makes accuracy look better than it is; one
that lies in two classes teaches a contradiction.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from darkroom.inspection.datasets import single_labels
from darkroom.inspection.survey import Survey

BANDS, BAND_BITS = 4, 16
MOST_DIFFERENT = 3  # of 64 comparisons of neighbours; one band of four is then the same
MOST_OFF = 4.0  # grey values, on average
MOST_STRETCHED = 1.03
FLAT = 24  # a picture whose grey values differ by less says nothing
CROWD = 64  # more pictures in one band are a crowd of look-alikes, such as objects on white, and tell nothing

Where = tuple[int, int]  # dataset, image


@dataclass(frozen=True)
class Twins:
    """``places``: two or more; ``exact``: the same bytes."""

    places: tuple[Where, ...]
    exact: bool
    datasets: int  # how many different ones
    classes: int


def exact(surveys: Sequence[Survey]) -> list[Twins]:
    """Groups of files with the same bytes, the largest first."""
    groups = defaultdict[bytes, list[Where]](list)
    for number, survey in enumerate(surveys):
        for k in np.flatnonzero(survey.looks["bytes"] > 0).tolist():
            groups[survey.looks["digest"][k].tobytes()].append((number, k))
    nothing = bytes(16)  # too large to be read
    found = [places for digest, places in groups.items() if len(places) > 1 and digest != nothing]
    return _twins(surveys, sorted(found, key=lambda places: (-len(places), places)), True)


def near(surveys: Sequence[Survey]) -> list[Twins]:
    """Groups of decoded pictures that differ by little more than their compression or their size."""
    places, small, ratios = _decoded(surveys)
    if len(places) < 2:
        return []
    digests = [surveys[number].looks["digest"][k].tobytes() for number, k in places]
    bits = _bits(small)
    pairs = set[tuple[int, int]]()
    for a, b in _candidates(bits):
        if (
            digests[a] != digests[b]
            and int(bits[a] ^ bits[b]).bit_count() <= MOST_DIFFERENT
            and max(ratios[a], ratios[b]) / min(ratios[a], ratios[b]) <= MOST_STRETCHED
            and np.abs(small[a] - small[b]).mean() <= MOST_OFF
        ):
            pairs.add((a, b))
    return _twins(surveys, [[places[at] for at in group] for group in _joined(pairs)], False)


def _joined(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups in which everyone is paired with somebody."""
    groups = dict[int, set[int]]()
    for a, b in pairs:
        both = groups.get(a, {a}) | groups.get(b, {b})
        groups |= dict.fromkeys(both, both)
    return sorted({id(group): sorted(group) for group in groups.values()}.values())


def _decoded(surveys: Sequence[Survey]) -> tuple[list[Where], npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    places, smalls, ratios = list[Where](), [], []
    for number, survey in enumerate(surveys):
        looks = survey.looks
        spread = np.ptp(looks["small"].reshape(len(looks), -1), axis=1) if len(looks) else np.zeros(0)
        good = np.flatnonzero(looks["decoded"] & (looks["kind"] >= 0) & (spread >= FLAT))
        places += [(number, k) for k in good.tolist()]
        smalls.append(looks["small"][good].astype(np.int16))
        ratios.append(looks["width"][good] / np.maximum(1, looks["height"][good]))
    return places, np.concatenate(smalls), np.concatenate(ratios)


def _bits(small: npt.NDArray[np.int16]) -> npt.NDArray[np.uint64]:
    """64 bits a picture: whether each grey value is above its left neighbour's."""
    rises = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), 64)
    return np.packbits(rises, axis=1).view(">u8").ravel().astype(np.uint64)


def _candidates(bits: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Pairs that share one band of bits: all that differ in at most three are among them, but for crowds."""
    for band in range(BANDS):
        values = (bits >> np.uint64(band * BAND_BITS)) & np.uint64((1 << BAND_BITS) - 1)
        order = np.argsort(values, kind="stable")
        edges = np.flatnonzero(np.diff(values[order])) + 1
        for group in np.split(order, edges):
            if 1 < len(group) <= CROWD:
                yield from combinations(sorted(group.tolist()), 2)


def _twins(surveys: Sequence[Survey], groups: Sequence[Sequence[Where]], same: bool) -> list[Twins]:
    if not groups:
        return []
    labels = [dict(single_labels(survey.dataset)) for survey in surveys]
    found = []
    for places in groups:
        names = {_class(surveys, labels, place) for place in places}
        found.append(Twins(tuple(places), same, len({number for number, _ in places}), len(names)))
    return found


def _class(surveys: Sequence[Survey], labels: Sequence[dict[int, int]], place: Where) -> str | int:
    """By name where there are names: datasets may number the same classes differently."""
    number, k = place
    label, names = labels[number].get(k, -1), surveys[number].dataset.names
    return names[label] if 0 <= label < len(names) else label
