"""report.html into the job's output folder: the thin place that writes the file and lets nothing through.

A report is for looking at; whatever goes wrong with it is a warning in the log and never the job's failure.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from darkroom.algorithm.report.facts import Facts
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.model import Shown
from darkroom.algorithm.report.page import report

FILE = "report.html"


def write(folder: Path, facts: Facts, history: History, shown: Sequence[Shown], log: logging.Logger) -> None:
    """Leave the report in ``folder``, whole or not at all."""
    try:
        text = report(facts, history, shown)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{FILE}.part"
        part.write_bytes(text.encode("utf-8", "replace"))  # names of files need not be text
        os.replace(part, folder / FILE)
    except Exception as error:
        log.warning("%s could not be written; the model is not concerned: %s: %s", FILE, type(error).__name__, error)
    else:
        log.info("Wrote %s: curves, classes and mistakes of this training.", FILE)
