"""report.html into the job's output folder: the thin place that reads images, writes the file and lets nothing through.

A report is for looking at; whatever goes wrong with it is a warning in the log and never the job's failure.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from darkroom.algorithm.data.images import UNREADABLE, ImageSet
from darkroom.algorithm.report.facts import Facts
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.model import Shown
from darkroom.algorithm.report.page import report
from darkroom.algorithm.report.standing import mistakes
from darkroom.imaging.thumbnail import thumbnail

FILE = "report.html"
SIDE = 112  # pixels of a thumbnail
MOST_SECONDS = 10.0  # for thumbnails: a job that was told to stop has little time


def write(
    folder: Path,
    facts: Facts,
    history: History,
    validation: ImageSet | None,
    log: logging.Logger,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Leave the report in ``folder``, whole or not at all."""
    try:
        labels = None if validation is None else validation.classes
        text = report(facts, history, labels, list(_shown(history, validation, clock)))
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{FILE}.part"
        part.write_bytes(text.encode("utf-8", "replace"))  # names of files need not be text
        os.replace(part, folder / FILE)
    except Exception as error:
        log.warning("%s could not be written; the model is not concerned: %s: %s", FILE, type(error).__name__, error)
    else:
        log.info("Wrote %s: curves, classes and mistakes of this training.", FILE)


def _shown(history: History, validation: ImageSet | None, clock: Callable[[], float]) -> Iterator[Shown]:
    if validation is None or history.answers is None:
        return
    end = clock() + MOST_SECONDS
    for mistake in mistakes(history.answers, validation.classes):
        picture = None if clock() > end else _thumbnail(validation, mistake.k)
        yield Shown(mistake, validation.name(mistake.k), picture)


def _thumbnail(images: ImageSet, k: int) -> bytes | None:
    try:
        return thumbnail(images.read(k), SIDE)
    except UNREADABLE:
        return None
