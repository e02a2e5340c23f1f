"""From the labels written beside the images to classes, with every doubt said: which image, which label, what to do.

Knows numbers and names only, no pixels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.class_folders import shown
from darkroom.algorithm.data.samples import FolderSamples, RecordSamples, Samples
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hyperparameters import Hyperparameters

Classes = npt.NDArray[np.int64] | npt.NDArray[np.float32]


def classes(samples: Samples, values: Hyperparameters, channel: str) -> Classes:
    """Class ids int64 (N,), or with multi_label rows of 0 and 1, float32 (N, num_classes).

    Raises CustomerError naming the first image whose label cannot be right.
    """
    if isinstance(samples, FolderSamples):
        _check_folders(samples.classes, values)
    return _rows(samples, values, channel) if values.multi_label else _ids(samples, values, channel)


def _check_folders(names: tuple[str, ...], values: Hyperparameters) -> None:
    """Folders say how many classes there are, and that an image has one."""
    if values.multi_label:
        raise CustomerError(
            "multi_label is 1, but in class folders an image has one class. Set multi_label to 0, or add the channel "
            "train_lst with a .lst file that has a column of 0 or 1 for each class."
        )
    if len(names) != values.num_classes:
        raise CustomerError(
            f"num_classes is {values.num_classes}, but the train channel has {len(names)} class folder(s): "
            f"{shown(names)}. Set num_classes to {len(names)}, or let S3Uri be the prefix right above the folders."
        )


def _ids(samples: Samples, values: Hyperparameters, channel: str) -> npt.NDArray[np.int64]:
    if several := [position for position, label in enumerate(samples.labels) if len(label) != 1]:
        raise CustomerError(
            f"{_first(several, samples, channel)} has {len(samples.labels[several[0]])} labels, but multi_label is 0. "
            "Set multi_label to 1, or give one class id an image."
        )
    labels = np.array([label[0] for label in samples.labels], dtype=np.float32)
    if broken := np.flatnonzero((labels != np.floor(labels)) | ~np.isfinite(labels)).tolist():
        raise CustomerError(
            f"The label {labels[broken[0]]:g} of {_first(broken, samples, channel)} is not a whole number; labels are "
            f"class ids from 0 to num_classes-1 ({values.num_classes - 1})."
        )
    if outside := np.flatnonzero((labels < 0) | (labels >= values.num_classes)).tolist():
        label, count = labels[outside[0]], values.num_classes
        remedy = _numbered_anew(labels, count) if channel == "train" else _as_in_training(label)
        raise CustomerError(
            f"The label {label:.7g} of {_first(outside, samples, channel)} is not one of 0 … {count - 1} (num_classes "
            f"is {count}): {remedy}."
        )
    return labels.astype(np.int64)


def _first(found: Sequence[int], samples: Samples, channel: str) -> str:
    """The first of the images found, and how many they are."""
    more = f" (one of {len(found)} such images)" if len(found) > 1 else ""
    return f"{samples.name(found[0])} in the {channel} channel{more}"


def _numbered_anew(labels: npt.NDArray[np.float32], num_classes: int) -> str:
    """What the train channel holds, and what would make classes of it."""
    low, high, found = labels.min(), labels.max(), len(np.unique(labels))
    remedy = f"Set num_classes to {found}"
    if low == 1 and high == num_classes:
        remedy = "Number the classes from 0, not from 1"
    elif low < 0 or found != high + 1:
        remedy = f"Number the {found} classes 0 … {found - 1} without gaps"
        remedy += f" and set num_classes to {found}" if found != num_classes else ""
    return f"the channel holds {found} different labels from {low:.7g} to {high:.7g}. {remedy}"


def _as_in_training(label: np.float32) -> str:
    """What makes the label of another channel a class. Gaps are nothing odd there, and no reason to number anew."""
    remedy = "classes have the numbers that they have in the train channel. Correct the label"
    if label < 0:
        return remedy
    return f"{remedy}, or set num_classes to {label + 1:.7g} and add images of class {label:.7g} to the train channel"


def _rows(samples: Samples, values: Hyperparameters, channel: str) -> npt.NDArray[np.float32]:
    if others := [position for position, label in enumerate(samples.labels) if len(label) != values.num_classes]:
        raise CustomerError(
            f"Mismatch between number of labels in the multi-label data ({len(samples.labels[others[0]])}) and the "
            f"num_classes parameter ({values.num_classes}): {_first(others, samples, channel)}. "
            "Each image needs num_classes labels, each 0 or 1 (pack .rec files with --pack-label)"
            f"{_or_listed(samples, values)}."
        )
    rows = np.stack(samples.labels).astype(np.float32)
    if other := np.flatnonzero(~np.isin(rows, (0, 1)).all(axis=1)).tolist():
        raise CustomerError(
            f"The labels {rows[other[0]].tolist()} of {_first(other, samples, channel)} are not all 0 or 1; with "
            "multi_label each column says whether the image has that class."
        )
    return rows


def _or_listed(samples: Samples, values: Hyperparameters) -> str:
    """A remedy, where an augmented manifest may have sent lists of class ids (of none: nan), as Ground Truth does."""
    labels = np.concatenate(samples.labels)
    ids = (labels == np.floor(labels)) & (labels >= 0) & (labels < values.num_classes)
    if not isinstance(samples, RecordSamples) or not (ids | np.isnan(labels)).all():
        return ""
    return (
        "; where an augmented manifest lists the classes of an image, set the ContentType 'application/x-recordio; "
        "label-format=class-id'"
    )


def images_per_class(known: Classes, num_classes: int) -> npt.NDArray[np.int64]:
    """(num_classes,) how many images have each class."""
    if known.ndim == 2:
        return known.sum(axis=0).astype(np.int64)
    return np.bincount(known, minlength=num_classes)
