"""A channel in Pipe mode: what comes through its named pipe is written to a .rec file once, and then read as any other.

Every check of File mode then holds before the first epoch, and the order of images is a true shuffle and can be told
again after a restart. One record is in memory at a time. The stream is either a .rec file as im2rec makes it, or an
augmented manifest wrapped in RecordIO: an image and its label as text, by turns. [SageMaker guide, augmented-manifest]
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from darkroom.algorithm.failures import CustomerError
from darkroom.formats.recordio import ImageHeader, RecordError, pack_image, stream, unpack_image
from darkroom.formats.writing import RecordWriter
from darkroom.imaging.signatures import kind_of

MOST_SHOWN = 60  # letters of a label in a message


@dataclass(frozen=True)
class Labelling:
    """``classes``: of a multi-label job, else 0. ``class_ids``: its labels list the classes that an image has."""

    classes: int = 0
    class_ids: bool = False


def spool(fifo: Path, folder: Path, channel: str, labelling: Labelling, log: logging.Logger) -> bool:
    """Write what ``fifo`` gives into a .rec file in ``folder``, to its end; whether it was an augmented manifest.

    Raises CustomerError.
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
            payloads, manifest = chain([first], payloads), kind_of(first) is not None
            for payload in _images(payloads, channel, labelling) if manifest else _records(payloads, channel):
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
                "that im2rec makes. Of an augmented manifest AttributeNames must be two, image first: "
                '["source-ref", "class"].'
            ) from error
        yield payload


def _images(payloads: Iterator[bytes], channel: str, labelling: Labelling) -> Iterator[bytes]:
    """Image records of an augmented manifest: the bytes of an image file and the text of its label, by turns."""
    for number, image in enumerate(payloads):
        text = next(payloads, None)
        if text is None:
            raise CustomerError(
                f"The {channel} channel ends after the image of line {number + 1} of the augmented manifest, without "
                'its label. AttributeNames must be two, image first: ["source-ref", "class"].'
            )
        labels = np.array(_labels(text, number + 1, channel, labelling), dtype=np.float32)
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
        raise CustomerError(
            f"The label {shown} in line {line} of the {channel} channel's augmented manifest is neither a class id nor "
            'a list of numbers. AttributeNames must be two, image first: ["source-ref", "class"].'
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
