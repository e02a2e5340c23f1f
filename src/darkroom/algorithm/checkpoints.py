"""The models that a job leaves in /opt/ml/model, and whether there is one yet. Knows not why one is stored."""

import logging
from collections.abc import Callable
from pathlib import Path

from darkroom.algorithm import lines


class Checkpoints:
    """``save(number, keep_earlier)`` writes the model after so many epochs whole, and returns its params file. None: it
    is another host that saves."""

    def __init__(self, save: Callable[[int, bool], Path] | None, log: logging.Logger) -> None:
        self._save, self._log = save, log
        self.empty = True

    def store(self, epoch: int, keep_earlier: bool = False, accuracy: float | None = None) -> None:
        """The model of ``epoch`` (from 0), in place of the earlier one or beside it. ``accuracy``: it is the best."""
        self.empty = False
        if self._save is None:
            return
        if accuracy is not None:
            self._log.info("%s", lines.storing_best(accuracy))
        self._log.info("%s", lines.saved(self._save(epoch + 1, keep_earlier)))
