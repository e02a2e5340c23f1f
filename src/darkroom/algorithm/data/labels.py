"""From the labels written beside the images to classes, with every doubt said: which image, which label, what to do.

Knows numbers and names only, no pixels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.class_folders import shown
from darkroom.algorithm.data.samples import FolderSamples, Samples
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
    ids = labels.astype(np.int64)
    if broken := np.flatnonzero((ids != labels) | ~np.isfinite(labels)).tolist():
        raise CustomerError(
            f"The label {labels[broken[0]]:g} of {_first(broken, samples, channel)} is not a whole number; labels are "
            f"class ids from 0 to num_classes-1 ({values.num_classes - 1})."
        )
    if outside := np.flatnonzero((ids < 0) | (ids >= values.num_classes)).tolist():
        raise CustomerError(_out_of_range(ids, ids[outside[0]], _first(outside, samples, channel), values.num_classes))
    return ids


def _first(found: Sequence[int], samples: Samples, channel: str) -> str:
    """The first of the images found, and how many they are."""
    more = f" (one of {len(found)} such images)" if len(found) > 1 else ""
    return f"{samples.name(found[0])} in the {channel} channel{more}"


def _out_of_range(ids: npt.NDArray[np.int64], label: int, image: str, num_classes: int) -> str:
    low, high = int(ids.min()), int(ids.max())
    found = len(np.unique(ids))
    remedy = f"Set num_classes to {high + 1}"
    if low == 1 and high == num_classes:
        remedy = "Number the classes from 0, not from 1"
    elif low < 0 or found != high + 1:
        remedy = f"Number the {found} classes 0 … {found - 1} without gaps"
    return (
        f"The label {label} of {image} is not one of 0 … {num_classes - 1} (num_classes is {num_classes}): the channel "
        f"holds {found} different labels from {low} to {high}. {remedy}."
    )


def _rows(samples: Samples, values: Hyperparameters, channel: str) -> npt.NDArray[np.float32]:
    if others := [position for position, label in enumerate(samples.labels) if len(label) != values.num_classes]:
        raise CustomerError(
            f"Mismatch between number of labels in the multi-label data ({len(samples.labels[others[0]])}) and the "
            f"num_classes parameter ({values.num_classes}): {_first(others, samples, channel)}. "
            "Each image needs num_classes labels, each 0 or 1 (pack .rec files with --pack-label)."
        )
    rows = np.stack(samples.labels).astype(np.float32)
    if other := np.flatnonzero(~np.isin(rows, (0, 1)).all(axis=1)).tolist():
        raise CustomerError(
            f"The labels {rows[other[0]].tolist()} of {_first(other, samples, channel)} are not all 0 or 1; with "
            "multi_label each column says whether the image has that class."
        )
    return rows


def images_per_class(known: Classes, num_classes: int) -> npt.NDArray[np.int64]:
    """(num_classes,) how many images have each class."""
    if known.ndim == 2:
        return known.sum(axis=0).astype(np.int64)
    return np.bincount(known, minlength=num_classes)
