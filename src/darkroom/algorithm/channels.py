"""What the channels hold: .rec files, or images with a .lst that names them. Doubts are said before training starts.

Knows the folder layout and the two formats; decodes nothing.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darkroom.algorithm.data.samples import ListedSamples, RecordSamples, Samples
from darkroom.algorithm.failures import CustomerError
from darkroom.contract.layout import Layout
from darkroom.formats.lst import LstError, LstLines, read_lst

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True)
class Channels:
    """The images of a job. ``validation`` is None where the job has no such channel."""

    train: Samples
    validation: Samples | None
    listed: bool  # from images and .lst files
    folder: Path  # of the train channel: where class names may lie


@dataclass(frozen=True)
class _Place:
    """Where the channels lie, and what the job said of them (inputdataconfig.json)."""

    layout: Layout
    config: dict[str, dict[str, Any]] = field(default_factory=dict)

    def has(self, channel: str) -> bool:
        return channel in self.config or self.layout.channel(channel).is_dir()

    def files(self, channel: str) -> list[Path]:
        return sorted(path for path in self.layout.channel(channel).rglob("*") if path.is_file())


def open_channels(layout: Layout, log: logging.Logger) -> Channels:
    """The images of the job's channels. Raises CustomerError."""
    place = _Place(layout, _read_config(layout.config / "inputdataconfig.json"))
    _refuse_what_is_not_offered(place)
    if not place.has("train"):
        given = ", ".join(sorted(place.config)) or "none"
        raise CustomerError(f"The train channel is missing. Channels given: {given}. Give one named 'train'.")
    listed = place.has("train_lst") or place.has("validation_lst")
    read = _open_listed if listed else _open_records
    return Channels(
        train=read(place, "train", log),
        validation=read(place, "validation", log) if place.has("validation") else None,
        listed=listed,
        folder=layout.channel("train"),
    )


def hosts(layout: Layout) -> list[str]:
    """Names of the machines of this job; one where nothing is said."""
    path = layout.config / "resourceconfig.json"
    return json.loads(path.read_text()).get("hosts", ["algo-1"]) if path.exists() else ["algo-1"]


def _read_config(path: Path) -> dict[str, dict[str, Any]]:
    return json.loads(path.read_text()) if path.exists() else {}


def _refuse_what_is_not_offered(place: _Place) -> None:
    if place.has("model"):
        raise CustomerError(
            "The model channel (incremental training) is not offered yet. Leave it out to train from random weights."
        )
    for channel, config in place.config.items():
        if config.get("TrainingInputMode") == "Pipe":
            raise CustomerError(f"Pipe mode is not offered yet (channel {channel}). Use TrainingInputMode File.")
    if len(machines := hosts(place.layout)) > 1:
        raise CustomerError(f"Training on {len(machines)} machines is not offered yet. Set InstanceCount to 1.")


# RecordIO -------------------------------------------------------------------------------------------------------------


def _open_records(place: _Place, channel: str, log: logging.Logger) -> Samples:
    log.info("Searching for .rec files in %s.", place.layout.channel(channel))
    files = place.files(channel)
    records = [path for path in files if path.suffix == ".rec"]
    if not records:
        raise CustomerError(_no_records(channel, files))
    samples = RecordSamples(records)
    if not len(samples):
        raise CustomerError(
            f"Unable to start training. Empty .rec file in {channel} channel. {records[0].name} holds no record: look "
            "at what im2rec printed when it was made; often the image folder was not found. Make it again."
        )
    return samples


def _no_records(channel: str, files: list[Path]) -> str:
    remedy = "Put the .rec file that im2rec made there"
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in files):
        remedy = f"To train on image files, add the channel {channel}_lst with a .lst file that lists them"
    elif any(path.suffix == ".lst" for path in files):
        remedy = f"A .lst file belongs into the channel {channel}_lst, the images it lists into {channel}"
    return f"No .rec file was found in the {channel} channel, which holds {_contents(files)}. {remedy}."


def _contents(files: Iterable[Path]) -> str:
    """``3 .jpg, 1 .txt`` or ``no file``."""
    kinds = Counter(path.suffix or path.name for path in files)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5)) or "no file"


# Images and .lst ------------------------------------------------------------------------------------------------------


def _open_listed(place: _Place, channel: str, log: logging.Logger) -> Samples:
    """Images are read where they lie: making records of them first, as SageMaker does, only costs time here."""
    lst_channel = f"{channel}_lst"
    if not place.has(lst_channel):
        raise CustomerError(
            f"The {lst_channel} channel is missing. It holds the .lst file that lists the {channel} images."
        )
    log.info("Searching for .lst files in %s.", place.layout.channel(lst_channel))
    files = place.files(lst_channel)
    lists = [path for path in files if path.suffix == ".lst"]
    if len(lists) != 1:
        found = f"{len(lists)} .lst files" if lists else _contents(files)
        raise CustomerError(f"The {lst_channel} channel must hold exactly one .lst file; it holds {found}.")
    log.info("Creating record files for %s", lists[0].name)
    samples = _listed(lists[0], place.layout.channel(channel), channel, log)
    log.info("Done creating record files...")
    return samples


def _listed(lst: Path, root: Path, channel: str, log: logging.Logger) -> Samples:
    try:
        lines = read_lst(lst)
    except LstError as error:
        raise CustomerError(
            f"Invalid lst file in the {channel} channel. {lst.name}, line {error.line}, column {error.column}: "
            f"{error.reason}"
        ) from error
    if not lines:
        raise CustomerError(
            f"Invalid lst file in the {channel} channel. {lst.name} has no line; list one image a line."
        )
    for warning in lines.warnings[:3]:
        log.warning("%s", warning.replace(str(lst), lst.name))
    _check_presence(lines, lst, root, channel)
    return ListedSamples(lines, lst, root)


def _check_presence(lines: LstLines, lst: Path, root: Path, channel: str) -> None:
    """Raises CustomerError where images that the .lst names are not in the channel."""
    there = {os.path.relpath(path, root) for path in root.rglob("*")}
    missing = [line.path for line in lines if os.path.normpath(line.path) not in there]
    if not missing:
        return
    first = ", ".join(missing[:3])
    names = {os.path.basename(path) for path in there}
    remedy = "Upload them, or take their lines out"
    if os.path.basename(missing[0]) in names:
        remedy = "Paths in a .lst are relative to the channel's S3 prefix: images of these names lie in other folders"
    raise CustomerError(
        f"Invalid lst file in the {channel} channel. {len(missing)} of the {len(lines)} images that {lst.name} lists "
        f"are not in the channel: {first}{', …' if len(missing) > 3 else ''}. {remedy}."
    )
