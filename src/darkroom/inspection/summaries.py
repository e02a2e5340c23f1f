"""A survey in figures: classes and their balance, sizes, kinds, and the hyperparameters that follow from them. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.imaging.signatures import KINDS
from darkroom.inspection.datasets import class_name, single_labels
from darkroom.inspection.headers import MODES
from darkroom.inspection.survey import Survey

MOST_LISTED = 100_000  # labels: with larger ones only those that occur are listed


@dataclass(frozen=True)
class ClassCount:
    label: int
    name: str
    images: int
    bytes: int
    share: float


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Summary:
    """Of one dataset. Sizes are those of upright pictures, in pixels; None where no header could be read."""

    title: str
    kind: str
    images: int
    readable: int
    decoded: int
    bytes: int
    classes: tuple[ClassCount, ...]
    multi_label: int  # labels of an image, where there are several; else 0
    width: Spread | None
    height: Spread | None
    shorter: Spread | None
    landscape: int
    portrait: int
    square: int
    turned: int
    kinds: tuple[tuple[str, int], ...]
    modes: tuple[tuple[str, int], ...]


def summary(survey: Survey) -> Summary:
    looks, dataset = survey.looks, survey.dataset
    known = looks[(looks["width"] > 0) & looks["readable"]]
    width, height = known["width"].astype(np.int64), known["height"].astype(np.int64)
    several = dataset.labels.shape[1]
    return Summary(
        title=dataset.title,
        kind=dataset.kind,
        images=len(dataset),
        readable=int(looks["readable"].sum()),
        decoded=int(looks["decoded"].sum()),
        bytes=int(looks["bytes"].sum()),
        classes=tuple(_rows_of(survey) if several > 1 else _classes_of(survey)),
        multi_label=several if several > 1 else 0,
        width=_spread(width),
        height=_spread(height),
        shorter=_spread(np.minimum(width, height)),
        landscape=int((width > height).sum()),
        portrait=int((width < height).sum()),
        square=int((width == height).sum()),
        turned=int(known["turned"].sum()),
        kinds=_counted(looks["kind"], KINDS),
        modes=_counted(looks["mode"], MODES),
    )


def _spread(values: np.ndarray) -> Spread | None:
    return Spread(float(values.min()), float(np.median(values)), float(values.max())) if len(values) else None


def _counted(codes: np.ndarray, names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    counts = Counter(codes[codes >= 0].tolist())
    return tuple((names[code], count) for code, count in counts.most_common())


def _classes_of(survey: Survey) -> Iterator[ClassCount]:
    """Every class up to the largest label, those without images as well."""
    sizes = survey.looks["bytes"]
    images, size = Counter[int](), Counter[int]()
    for k, label in single_labels(survey.dataset):
        images[label] += 1
        size[label] += int(sizes[k])
    most = max([*images, len(survey.dataset.names) - 1], default=-1)
    total = max(1, sum(images.values()))
    labels = range(most + 1) if most < MOST_LISTED else sorted(images)
    for label in labels:
        count = images[label]
        yield ClassCount(label, class_name(survey.dataset, label), count, size[label], count / total)


def _rows_of(survey: Survey) -> Iterator[ClassCount]:
    """Of several labels an image, each column is a class."""
    labels, sizes = survey.dataset.labels, survey.looks["bytes"]
    for column in range(labels.shape[1]):
        has = labels[:, column] == 1
        share = float(has.mean()) if len(has) else 0.0
        yield ClassCount(column, class_name(survey.dataset, column), int(has.sum()), int(sizes[has].sum()), share)


SIDES = (224, 160, 112, 64, 32)  # of the square that a network sees


def suggestion(found: Summary) -> dict[str, str]:
    """Hyperparameters of the built-in algorithm that follow from the images; the rest is a matter of taste."""
    grey = sum(count for mode, count in found.modes if mode == "grey")
    channels = 1 if grey and grey == sum(count for _, count in found.modes) else 3
    median = found.shorter.median if found.shorter else 224.0
    side = next((side for side in SIDES if side <= median), SIDES[-1])
    values = {
        "num_classes": str(len(found.classes)),
        "num_training_samples": str(found.readable),
        "image_shape": f"{channels},{side},{side}",
    }
    if median >= (resize := round(side * 8 / 7)):
        values["resize"] = str(resize)
    if found.multi_label:
        values["multi_label"] = "1"
    if found.readable < 32:
        values["mini_batch_size"] = str(max(1, found.readable // 2))
    return values
