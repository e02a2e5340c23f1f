"""What the channels hold: .rec files, images with a .lst that names them, or a folder of images for each class.

Knows the folder layout and what may lie in it; doubts are said before training starts. Decodes nothing.
"""

import json
import logging
import os
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darkroom.algorithm.class_folders import REMEDY, contents, is_image, open_folders
from darkroom.algorithm.data.samples import RecordSamples, Samples
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE, Hosts, shared
from darkroom.algorithm.listed import open_listed
from darkroom.algorithm.piped import Labelling, lines_of, spool
from darkroom.contract.layout import Layout

RECORDIO = "application/x-recordio"


@dataclass(frozen=True)
class Channels:
    """The images of a job. ``validation`` is None where the job has no such channel."""

    train: Samples
    validation: Samples | None
    listed: bool  # from images and .lst files
    folder: Path  # of the train channel: where class names may lie
    sharded: frozenset[str] = frozenset()  # channels of which each host has images of its own


@dataclass(frozen=True)
class _Place:
    """Where the channels lie, and what the job said of them (inputdataconfig.json)."""

    layout: Layout
    config: dict[str, dict[str, Any]] = field(default_factory=dict)

    def has(self, channel: str) -> bool:
        return channel in self.config or self.folder(channel).is_dir()

    def folder(self, channel: str) -> Path:
        return self.layout.channel(channel)

    def files(self, channel: str) -> list[Path]:
        return sorted(path for path in self.folder(channel).rglob("*") if path.is_file())

    def content_type(self, channel: str) -> str:
        """Without its parameters, in small letters; empty where the job gave none."""
        return self._content_type(channel).partition(";")[0].strip()

    def class_ids(self, channel: str) -> bool:
        """Whether the labels of an augmented manifest are lists of class ids, rather than a 0 or 1 for each class."""
        parameters = self._content_type(channel).partition(";")[2]
        return "label-format=class-id" in parameters.replace(" ", "").replace('"', "")

    def piped(self, channel: str) -> bool:
        return bool(self.config.get(channel, {}).get("TrainingInputMode") == "Pipe")

    def wrapped(self, channel: str) -> bool | None:
        """Whether each object of a piped channel is made a record, as those of an augmented manifest are."""
        wrapper = self.config.get(channel, {}).get("RecordWrapperType")
        return None if wrapper is None else bool(wrapper == "RecordIO")

    def sharded(self, channel: str) -> bool:
        return bool(self.config.get(channel, {}).get("S3DistributionType") == "ShardedByS3Key")

    def _content_type(self, channel: str) -> str:
        return str(self.config.get(channel, {}).get("ContentType") or "").lower()


def open_channels(
    layout: Layout,
    log: logging.Logger,
    strict: bool = False,
    classes: int = 0,
    multi_label: bool = False,
    hosts: Hosts = ALONE,
) -> Channels:
    """The images of the job's channels. ``strict``: no class folders, as on SageMaker. Raises CustomerError.

    ``classes`` and ``multi_label``, the hyperparameters, say how the labels of an augmented manifest are read.
    """
    place = _Place(layout, _read_config(layout.config / "inputdataconfig.json"))
    if not place.has("train"):
        given = ", ".join(sorted(place.config)) or "none"
        raise CustomerError(f"The train channel is missing. Channels given: {given}. Give one named 'train'.")
    manifests = _received(place, classes if multi_label else 0, log, hosts)
    listed = place.has("train_lst") or place.has("validation_lst")
    sharded = frozenset(channel for channel in ("train", "validation") if hosts.count > 1 and place.sharded(channel))

    def records(channel: str) -> Samples:
        return _open_records(place, channel, channel in sharded, log, manifests)

    if listed:
        train, validation = _all_listed(place, log, hosts)
    elif _holds_folders(place):
        train, validation = _all_folders(place, strict, log, hosts)
    else:
        train, validation = records("train"), records("validation") if place.has("validation") else None
    return Channels(train, validation, listed, place.folder("train"), sharded)


def _received(place: _Place, multi_label_classes: int, log: logging.Logger, hosts: Hosts) -> set[str]:
    """As ``_receive``. A pipe can be read once: the first of the processes that share a host does, and the others
    find what it wrote."""
    if not shared(hosts) or not any(map(place.piped, place.config)):
        return _receive(place, multi_label_classes, log)
    own = _receive(place, multi_label_classes, log) if hosts.rank == 0 else set()
    return set(hosts.everyone(sorted(own))[0])


def _receive(place: _Place, multi_label_classes: int, log: logging.Logger) -> set[str]:
    """Channels in Pipe mode become .rec files in the folders where File mode has them; gives those of which an
    augmented manifest came. Raises CustomerError."""
    manifests = set[str]()
    for channel in filter(place.piped, place.config):
        if channel not in ("train", "validation"):
            raise CustomerError(f"The {channel} channel cannot be read in Pipe mode. Use TrainingInputMode File.")
        if place.has("train_lst"):
            raise CustomerError("Images with a .lst file are read in File mode only: Pipe mode carries RecordIO.")
        labelling = Labelling(multi_label_classes, place.class_ids(channel))
        pipe, lines = place.layout.pipe(channel, 0), lines_of(place.layout, channel)
        if spool(pipe, place.folder(channel), channel, place.wrapped(channel), labelling, lines, log):
            manifests.add(channel)
    return manifests


def hosts_of(layout: Layout) -> tuple[list[str], str]:
    """Names of the hosts of this job, and of this one; one where nothing is said."""
    path = layout.config / "resourceconfig.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    names = said.get("hosts", ["algo-1"])
    return names, said.get("current_host", names[0])


def _read_config(path: Path) -> dict[str, dict[str, Any]]:
    return json.loads(path.read_text()) if path.exists() else {}


# Image files ----------------------------------------------------------------------------------------------------------


def _all_listed(place: _Place, log: logging.Logger, hosts: Hosts) -> tuple[Samples, Samples | None]:
    def opened(channel: str) -> Samples:
        apart = hosts if place.sharded(channel) else ALONE
        return open_listed(place.folder(channel), place.folder(f"{channel}_lst"), channel, log, apart)

    if place.has("validation_lst") and not place.has("validation"):
        raise CustomerError(
            "The validation channel is missing. It holds the images that the .lst file in validation_lst lists; its "
            "S3Uri may be that of the train channel."
        )
    return opened("train"), opened("validation") if place.has("validation") else None


def _all_folders(place: _Place, strict: bool, log: logging.Logger, hosts: Hosts) -> tuple[Samples, Samples | None]:
    if strict:
        raise CustomerError(
            "The train_lst channel is missing. SageMaker reads images only with a .lst file that lists them, and "
            "DARKROOM_STRICT asks for its ways; without it class folders suffice."
        )
    train = open_folders(place.folder("train"), "train", None, log)
    everyones = tuple(sorted(set().union(*hosts.everyone(train.classes)), key=os.fsencode))
    if everyones != train.classes:  # ShardedByS3Key: this host was not given images of every class
        train = open_folders(place.folder("train"), "train", everyones, log)
    if not place.has("validation"):
        return train, None
    return train, open_folders(place.folder("validation"), "validation", train.classes, log)


def _holds_folders(place: _Place) -> bool:
    """Whether the train channel is one of class folders: by what lies in it, and by its content type where it holds
    both images and .rec files. Raises CustomerError where that says nothing."""
    files, declared = place.files("train"), place.content_type("train")
    if declared == RECORDIO or not any(map(is_image, files)):
        return False
    if not declared and any(path.suffix == ".rec" for path in files):
        raise CustomerError(
            f"The train channel holds .rec files and images ({contents(files)}). Set its ContentType: {RECORDIO} to "
            "train on the records, application/x-image to train on the images."
        )
    return True


# RecordIO -------------------------------------------------------------------------------------------------------------


def _open_records(place: _Place, channel: str, sharded: bool, log: logging.Logger, manifests: Set[str]) -> Samples:
    log.info("Searching for .rec files in %s.", place.folder(channel))
    files = place.files(channel)
    records = [path for path in files if path.suffix == ".rec"]
    if not records:
        raise CustomerError(_no_records(channel, files, sharded))
    samples = RecordSamples(records, lines_of(place.layout, channel) if channel in manifests else ())
    if not len(samples):
        raise CustomerError(
            f"Unable to start training. Empty .rec file in {channel} channel. {records[0].name} holds no record: look "
            "at what im2rec printed when it was made; often the image folder was not found. Make it again."
        )
    return samples


def _no_records(channel: str, files: list[Path], sharded: bool) -> str:
    remedy = "Put the .rec file that im2rec made there"
    if sharded:
        remedy = "ShardedByS3Key gave other objects to other hosts: leave only .rec files there, one a host at least"
    elif channel != "train":
        remedy = "The train channel holds .rec files, and both are read in one way: put one there, too"
    elif any(map(is_image, files)):
        remedy = (
            f"To train on image files, set ContentType to application/x-image, not {RECORDIO}. {REMEDY}, or add the "
            "channel train_lst with a .lst file that lists them"
        )
    elif any(path.suffix == ".lst" for path in files):
        remedy = f"A .lst file belongs into the channel {channel}_lst, the images it lists into {channel}"
    return f"No .rec file was found in the {channel} channel, which holds {contents(files)}. {remedy}."
