"""From channels to images that training can trust: labels are classes, files are pictures, counts fit the settings.

Whatever would spoil an epoch is found here, before the first one, counted and named. Knows no network.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from darkroom.algorithm import schedule
from darkroom.algorithm.channels import Channels
from darkroom.algorithm.data import images as image_sets
from darkroom.algorithm.data.images import ImageSet, Memory
from darkroom.algorithm.data.labels import classes, images_per_class
from darkroom.algorithm.data.samples import Samples
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE, Hosts
from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.imaging.preprocess import Preprocess, shorter_side_for

MEMORY_BYTES = 1 << 30  # of decoded pictures kept between epochs
Counts = npt.NDArray[np.int64]  # (num_classes,) images
LeftOut = Mapping[str, Sequence[int]]  # by channel, the places of images that cannot be read
MOST_NAMED = 100  # unreadable images with a line each


@dataclass(frozen=True)
class Data:
    """``values`` with num_training_samples as it is used. ``preprocess`` is recorded in the model."""

    values: Hyperparameters
    train: ImageSet
    validation: ImageSet | None
    preprocess: Preprocess
    batches: int  # of each host in an epoch
    sharded: frozenset[str] = frozenset()  # channels of which each host has images of its own

    @property
    def left_out(self) -> LeftOut:
        return {name: it.left_out() for name, it in (("train", self.train), ("validation", self.validation)) if it}


def prepare(
    channels: Channels,
    values: Hyperparameters,
    threads: int,
    strict: bool,
    clamp: bool,
    log: logging.Logger,
    left_out: LeftOut | None = None,
    hosts: Hosts = ALONE,
) -> Data:
    """The job's images, ready. Raises CustomerError where training could not be right.

    ``clamp``: a mini_batch_size that is too large is lowered rather than refused. ``left_out``: what an earlier attempt
    could not read; there is no looking again, which might find more or less and change the order of all.
    """
    preprocess = _preprocess(channels.train, values, hosts)
    memory = Memory(MEMORY_BYTES)
    to_pixels = preprocess.resized if values.augmentation_type else preprocess.apply  # what is cut anew is kept whole
    # A random crop is decoded anew each time, so that what comes out never depends on what memory could keep.
    kept = Memory(0) if values.augmentation_type in ("crop", "crop_color") else memory
    train = ImageSet.of(channels.train, classes(channels.train, values, "train"), to_pixels, kept)
    validation = None
    if channels.validation is not None:
        known = classes(channels.validation, values, "validation")
        validation = ImageSet.of(channels.validation, known, preprocess.apply, memory)
    sharded = channels.sharded
    _warn_of_absent_classes(_per_class(train, values, hosts if "train" in sharded else ALONE), log)
    if left_out is not None:
        train = train.without(left_out.get("train", ()))
        validation = validation and validation.without(left_out.get("validation", ()))
    else:
        look = partial(_readable, values=values, threads=threads, hosts=hosts, log=log)
        train = look(train, channel="train", sharded="train" in sharded)
        validation = validation and look(validation, channel="validation", sharded="validation" in sharded)
    counts = hosts.everyone(len(train)) if "train" in sharded else [len(train)]
    values, batches = _counted(values, counts, hosts.count, strict, clamp, log)
    return Data(values, train, validation, preprocess, batches, sharded)


def _preprocess(train: Samples, values: Hyperparameters, hosts: Hosts) -> Preprocess:
    channels, height, width = values.shape
    median = 0.0 if values.resize else hosts.everyone(image_sets.median_shorter_side(train))[0]
    return Preprocess(height, width, channels, shorter_side_for(values.resize, median, height, width))


def _per_class(images: ImageSet, values: Hyperparameters, hosts: Hosts) -> Counts:
    """(num_classes,) how many images of all hosts have each class."""
    return np.sum(hosts.everyone(images_per_class(images.classes, values.num_classes).tolist()), axis=0)


def _warn_of_absent_classes(counts: Counts, log: logging.Logger) -> None:
    absent = np.flatnonzero(counts == 0).tolist()
    if absent:
        shown = ", ".join(map(str, absent[:10])) + (", …" if len(absent) > 10 else "")
        log.warning(
            "%d of the %d classes have no training image and cannot be learned: %s. Is num_classes right?",
            len(absent), len(counts), shown,
        )  # fmt: skip


def _readable(
    images: ImageSet,
    values: Hyperparameters,
    threads: int,
    channel: str,
    sharded: bool,
    hosts: Hosts,
    log: logging.Logger,
) -> ImageSet:
    """The set without what cannot be decoded. Raises CustomerError where too little is left to be right."""
    bad = _unreadable(images, threads, ALONE if sharded else hosts)
    left = images.without(list(bad))
    before, after = (_per_class(it, values, hosts if sharded else ALONE) for it in (images, left))
    if bad:
        lost = np.flatnonzero((before > 0) & (after == 0)).tolist() if channel == "train" else []
        _tell(images, bad, lost, channel, log)
    return left


def _unreadable(images: ImageSet, threads: int, hosts: Hosts) -> dict[int, str]:
    """What cannot be read, and why. Processes that have the same images look at a part each."""
    part = np.arange(hosts.rank, len(images), hosts.processes)
    found = image_sets.unreadable(images.only(part), threads)
    told = hosts.everyone({str(part[k]): reason for k, reason in found.items()})
    return dict(sorted((int(k), reason) for known in told for k, reason in known.items()))


def _tell(images: ImageSet, bad: dict[int, str], lost: list[int], channel: str, log: logging.Logger) -> None:
    """Name the images that are left out. Raises CustomerError where they are too many, or all of class ``lost[0]``."""
    first = "; ".join(f"{images.name(k)}: {reason}" for k, reason in list(bad.items())[:3])
    count = f"{len(bad)} of the {len(images)} images in the {channel} channel cannot be read"
    more = "; …" if len(bad) > 3 else ""
    if len(bad) > len(images) / 2:
        raise CustomerError(f"{count}: {first}{more}. Replace them with JPEG or PNG files.")
    if lost:
        raise CustomerError(f"{count}, among them every image of class {lost[0]}: {first}{more}. Replace them.")
    log.warning("%s and are left out:", count)
    for k, reason in list(bad.items())[:MOST_NAMED]:
        log.warning("%s: %s", images.name(k), reason)
    if len(bad) > MOST_NAMED:
        log.warning("… and %d more", len(bad) - MOST_NAMED)


def _counted(
    values: Hyperparameters, has: Sequence[int], hosts: int, strict: bool, clamp: bool, log: logging.Logger
) -> tuple[Hyperparameters, int]:
    """The values with the number of images that training uses, and the batches of each host in an epoch. ``has``: the
    images of each host, or of all where they have the same. Strict: the number given, as SageMaker does."""
    given, size, count = values.num_training_samples, values.mini_batch_size, sum(has)
    used = given if strict and given is not None else count
    fewest = min(has) if len(has) > 1 else count // hosts
    if (most := min(used // hosts, fewest)) < size:
        said = f"num_training_samples is {used}" if used < count else f"The train channel has {count} images"
        said += f", {most} for each of {hosts} hosts," if hosts > 1 else ""
        if not clamp or not most:
            raise CustomerError(
                f"The number of input images must be bigger or equal to the mini_batch_size. {said} and "
                f"mini_batch_size is {size}: use a mini_batch_size of at most {most}, or let it be lowered with "
                "DARKROOM_CLAMP_BATCH=1 in the job's Environment."
            )
        log.warning("%s and mini_batch_size is %d; it is lowered to %d (DARKROOM_CLAMP_BATCH).", said, size, most)
    if given not in (None, used):
        log.warning("num_training_samples is %d, but the train channel has %d images; %d is used.", given, count, count)
    values = replace(values, num_training_samples=used, mini_batch_size=min(size, most))
    share = used // hosts if used != count else fewest
    return values, schedule.batches_per_epoch(share, values.mini_batch_size)
