"""The models that a job leaves in /opt/ml/model, and whether there is one yet. Knows not why one is stored."""

import logging
from collections.abc import Callable
from pathlib import Path

from darkroom.algorithm import lines


class Checkpoints:
    """``save(number, keep_earlier)`` writes the model after so many epochs whole, and returns its params file."""

    def __init__(self, save: Callable[[int, bool], Path], log: logging.Logger) -> None:
        self._save, self._log = save, log
        self.empty = True

    def store(self, epoch: int, keep_earlier: bool = False) -> None:
        """The model of ``epoch`` (from 0), in place of the earlier one or beside it."""
        path = self._save(epoch + 1, keep_earlier)
        self.empty = False
        self._log.info("%s", lines.saved(path))
