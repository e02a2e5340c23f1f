"""A channel in Pipe mode: what comes through its named pipe is written to a .rec file once, and then read as any other.

Every check of File mode then holds before the first epoch, and the order of images is a true shuffle and can be told
again after a restart. One record is in memory at a time. The stream is either a .rec file as im2rec makes it, or an
augmented manifest wrapped in RecordIO: an image and its label as text, by turns. [SageMaker guide, augmented-manifest]
"""

import json
import logging
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from darkroom.algorithm.failures import CustomerError
from darkroom.contract.layout import Layout
from darkroom.formats.recordio import ImageHeader, RecordError, pack_image, stream, unpack_image
from darkroom.formats.writing import RecordWriter
from darkroom.imaging.signatures import kind_of

MOST_SHOWN = 60  # letters of a label in a message
TWO = 'AttributeNames must be two, image first: ["source-ref", "class"].'


@dataclass(frozen=True)
class Labelling:
    """``classes``: of a multi-label job, else 0. ``class_ids``: its labels list the classes that an image has."""

    classes: int = 0
    class_ids: bool = False


def lines_of(layout: Layout, channel: str) -> Sequence[int]:
    """Which line of an augmented manifest each image is of. Where nobody says so, they come in the manifest's order."""
    said = layout.manifest_lines(channel)
    return array("Q", json.loads(said.read_text())) if said.exists() else range(1, sys.maxsize)


def spool(
    fifo: Path,
    folder: Path,
    channel: str,
    wrapped: bool | None,
    labelling: Labelling,
    lines: Sequence[int],
    log: logging.Logger,
) -> bool:
    """Write what ``fifo`` gives into a .rec file in ``folder``, to its end; whether it was an augmented manifest.

    ``wrapped``: whether the job says that it is one; None: it says nothing, and the first record is looked at.
    ``lines`` of the manifest that the images come from, one by one. Raises CustomerError.
    """
    log.info("Reading the %s channel from %s.", channel, fifo)
    folder.mkdir(parents=True, exist_ok=True)
    rec = folder / f"{channel}.rec"
    try:
        with open(fifo, "rb") as pipe, RecordWriter(rec) as writer:
            payloads = stream(pipe, f"{channel} channel (Pipe mode)")
            first = next(payloads, None)
            if first is None:
                raise CustomerError(_nothing(channel))
            payloads = chain([first], payloads)
            manifest = kind_of(first) is not None if wrapped is None else wrapped
            read = _images(payloads, channel, labelling, lines) if manifest else _records(payloads, channel)
            for payload in read:
                writer.write(payload)
    except FileNotFoundError as error:
        raise CustomerError(f"The {channel} channel is in Pipe mode, but there is no pipe {error.filename}.") from error
    except RecordError as error:
        raise CustomerError(
            f"Unable to parse record: {error}. Pipe mode carries RecordIO: .rec files, or an augmented manifest with "
            "RecordWrapperType RecordIO."
        ) from error
    log.info("Read %d images from the %s channel.", writer.count, channel)
    return manifest


def _nothing(channel: str) -> str:
    return (
        f"Unable to start training. The {channel} channel is in Pipe mode, and nothing came through its pipe: no "
        "object under its S3Uri holds a record."
    )


def _records(payloads: Iterator[bytes], channel: str) -> Iterator[bytes]:
    """Image records as they came. Raises CustomerError for what im2rec does not make."""
    for number, payload in enumerate(payloads):
        try:
            unpack_image(payload)
        except RecordError as error:
            raise CustomerError(
                f"Record {number} of the {channel} channel, {payload[:MOST_SHOWN]!r}, is neither an image nor a record "
                f"that im2rec makes. Of an augmented manifest: {TWO}"
            ) from error
        yield payload


def _images(payloads: Iterator[bytes], channel: str, labelling: Labelling, lines: Sequence[int]) -> Iterator[bytes]:
    """Image records of an augmented manifest: the bytes of an image file and the text of its label, by turns."""
    for number, image in enumerate(payloads):
        text = next(payloads, None)
        if text is None:
            raise CustomerError(
                f"The {channel} channel ends after the image of line {lines[number]} of the augmented manifest, "
                f"without its label. {TWO}"
            )
        with np.errstate(over="ignore"):  # infinity is told of with the other labels that are none
            labels = np.array(_labels(text, lines[number], channel, labelling), dtype=np.float32)
        yield pack_image(ImageHeader(labels, number), image)


def _labels(text: bytes, line: int, channel: str, labelling: Labelling) -> list[float]:
    """What follows the image in line ``line``: a class id, or for several labels a JSON list. Raises CustomerError."""
    try:
        given = json.loads(text)
        if isinstance(given, str):  # a label that was written as a string of JSON
            given = json.loads(given)
        numbers = [float(number) for number in (given if isinstance(given, list) else [given])]
    except (ValueError, TypeError, RecursionError, OverflowError):
        shown = repr(text[:MOST_SHOWN].decode("utf-8", "replace"))
        remedy = TWO if kind_of(text) else "Classes are numbered from 0; their names belong elsewhere."
        raise CustomerError(
            f"The label {shown} in line {line} of the {channel} channel's augmented manifest is neither a class id nor "
            f"a list of numbers. {remedy}"
        ) from None
    if not (labelling.classes and labelling.class_ids):
        return numbers or [float("nan")]
    row = [0.0] * labelling.classes
    for number in numbers:
        if not (number.is_integer() and 0 <= number < labelling.classes):
            raise CustomerError(
                f"The class id {number:g} in line {line} of the {channel} channel's augmented manifest is not one of "
                f"0 … {labelling.classes - 1} (num_classes is {labelling.classes})."
            )
        row[int(number)] = 1.0
    return row
