"""Everything odd that a survey shows, in words: what cannot be read, labels, twins, sizes, names. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.imaging.signatures import KINDS
from darkroom.inspection.datasets import (
    CLASS_FOLDERS,
    MOST_CLASSES,
    UNREADABLE,
    Dataset,
    class_ids,
    class_name,
    single_labels,
)
from darkroom.inspection.summaries import MOST_LISTED
from darkroom.inspection.survey import Survey
from darkroom.inspection.twins import Twins, Where

SMALL_SIDE = 24  # pixels; hardly anything can be seen on less
LONG = 5.0  # times longer than wide
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
}
FEW = 10  # images of a class
TOO_FEW = 2  # of a class folder: `darkroom train` wants one to learn from and one to measure on
UNEVEN = 10  # times as many images in the largest class as in the smallest


@dataclass(frozen=True)
class Oddity:
    """``kind`` groups them. ``places``: the images it is about; ``grave``: training fails, or learns what is wrong,
    unless something is done."""

    kind: str
    said: str
    places: tuple[Where, ...] = ()
    grave: bool = False


def oddities(
    surveys: Sequence[Survey], exact: Sequence[Twins], near: Sequence[Twins], num_classes: int | None
) -> list[Oddity]:
    """The grave ones first."""
    found = [it for number, survey in enumerate(surveys) for it in _of_one(number, survey, num_classes)]
    found += _between(surveys)
    found += [_twin(surveys, twins) for twins in (*exact, *near)]
    return sorted(found, key=lambda it: not it.grave)


def _of_one(number: int, survey: Survey, num_classes: int | None) -> Iterator[Oddity]:
    dataset, looks = survey.dataset, survey.looks
    for remark in dataset.remarks:
        grave = remark.kind in ("damaged records", "the index", "photos in no class", UNREADABLE)
        yield Oddity(remark.kind, remark.said, grave=grave)
    for k, reason in survey.faults.items():
        yield Oddity("cannot be read", f"{dataset.name(k)}: {reason}", ((number, k),), True)
    yield from _labels(number, dataset, num_classes)
    for k in np.flatnonzero((looks["width"] > 0) & looks["readable"]).tolist():
        width, height = int(looks["width"][k]), int(looks["height"][k])
        said = f"{dataset.name(k)}: {width} x {height}"
        if min(width, height) < SMALL_SIDE:
            yield Oddity("very small", said, ((number, k),))
        elif max(width, height) > LONG * min(width, height):
            yield Oddity("very long", said, ((number, k),))
    for k in np.flatnonzero(looks["kind"] >= 0).tolist():
        kind, suffix = KINDS[looks["kind"][k]], dataset.suffix(k)
        if suffix and suffix not in SUFFIXES[kind]:
            said = f"{dataset.name(k)} is a {kind}; it is read all the same"
            yield Oddity("another kind than its name says", said, ((number, k),))


def _labels(number: int, dataset: Dataset, num_classes: int | None) -> Iterator[Oddity]:
    labels = dataset.labels
    if labels.shape[1] > 1:
        yield from _label_rows(number, dataset)
        return
    first, ids = labels[:, 0], class_ids(dataset)
    for k in np.flatnonzero(ids < 0).tolist():
        yield Oddity("labels", f"{dataset.name(k)} has {_no_class(float(first[k]))}", ((number, k),), True)
    if num_classes is not None:
        for k in np.flatnonzero(ids >= num_classes).tolist():
            said = f"{dataset.name(k)} has the label {ids[k]}, but {num_classes} classes end at {num_classes - 1}"
            yield Oddity("labels", said, ((number, k),), True)
    yield from _gaps(set(ids[ids >= 0].tolist()), num_classes)
    if number == 0:  # the one to train on; others may be small
        yield from _balance(dataset)


def _no_class(label: float) -> str:
    if np.isinf(label):
        return "a label beyond float32 (3.4e+38); labels are whole numbers from 0"
    if label >= MOST_CLASSES:
        return f"the label {label:.0f}; class ids end at {MOST_CLASSES - 1}"
    return f"the label {label:g}; labels are whole numbers from 0"


def _balance(dataset: Dataset) -> Iterator[Oddity]:
    counts = Counter(label for _, label in single_labels(dataset))
    if len(counts) == 1:
        only = class_name(dataset, next(iter(counts)))
        yield Oddity("one class", f"all images are of one class ({only}); two are needed to tell apart", grave=True)
    if counts and max(counts.values()) > UNEVEN * min(counts.values()):
        (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
        names = class_name(dataset, most), class_name(dataset, least)
        yield Oddity("balance", f"{names[0]} has {many} images, {names[1]} {few}: rare classes are learned badly")
    for label, count in sorted(counts.items()):
        if count < TOO_FEW and dataset.kind == CLASS_FOLDERS:
            said = f"{class_name(dataset, label)} has {count}; training needs {TOO_FEW} at least, better dozens"
            yield Oddity("too few images", said, grave=True)
        elif count < FEW:
            yield Oddity("few images", f"{class_name(dataset, label)} has {count}; better dozens")


def _gaps(there: set[int], num_classes: int | None) -> Iterator[Oddity]:
    most = num_classes if num_classes is not None else max(there, default=-1) + 1
    if most > MOST_LISTED:
        yield Oddity("labels", f"the largest label is {most - 1}: are these class ids?", grave=True)
        return
    absent = sorted(set(range(most)) - there)
    if absent:
        shown = ", ".join(map(str, absent[:10])) + (", …" if len(absent) > 10 else "")
        yield Oddity("labels", f"{len(absent)} of the classes 0 … {most - 1} have no image: {shown}", grave=True)


def _label_rows(number: int, dataset: Dataset) -> Iterator[Oddity]:
    labels = dataset.labels
    for k in np.flatnonzero(np.isnan(labels).any(axis=1)).tolist():
        count = int(np.isfinite(labels[k]).sum())
        said = f"{dataset.name(k)} has {count} label(s), others have {labels.shape[1]}"
        yield Oddity("labels", said, ((number, k),), True)
    for k in np.flatnonzero((~np.isin(labels, (0, 1)) & ~np.isnan(labels)).any(axis=1)).tolist():
        yield Oddity("labels", f"{dataset.name(k)} has labels that are not 0 or 1", ((number, k),), True)


def _between(surveys: Sequence[Survey]) -> Iterator[Oddity]:
    """Classes that one dataset names and another does not."""
    named = [survey.dataset for survey in surveys if survey.dataset.names]
    for dataset in named[1:]:
        for name in sorted(set(dataset.names) - set(named[0].names)):
            said = f"{dataset.title} has the class {name!r}, which {named[0].title} has not"
            yield Oddity("classes differ", said, grave=True)
        for name in sorted(set(named[0].names) - set(dataset.names)):
            yield Oddity("classes differ", f"{dataset.title} lacks the class {name!r} of {named[0].title}")


def _twin(surveys: Sequence[Survey], twins: Twins) -> Oddity:
    what = "the same file" if twins.exact else "nearly the same picture"
    kind = f"{what} in two datasets" if twins.datasets > 1 else what
    if twins.classes > 1:
        kind = f"{what} in two classes"
    names = [_where(surveys, place) for place in twins.places[:4]]
    more = f" and {len(twins.places) - 4} more" if len(twins.places) > 4 else ""
    grave = twins.exact and (twins.datasets > 1 or twins.classes > 1)
    return Oddity(kind, " = ".join(names) + more, twins.places, grave)


def _where(surveys: Sequence[Survey], place: Where) -> str:
    number, k = place
    name = surveys[number].dataset.name(k)
    return f"{surveys[number].dataset.title}: {name}" if len(surveys) > 1 else name
