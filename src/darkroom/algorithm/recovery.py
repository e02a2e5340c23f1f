"""Going on after an interruption: the training is written to /opt/ml/checkpoints as it goes, with the models that it
has stored by then, and the next attempt of the same job takes it up where it was.

Decides when, keeps the last two (a file may be broken), and lets nobody go on with another job's. What a run consists
of is ``course``'s and the learner's; what the file looks like is ``snapshots``'.
"""

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.algorithm import snapshots
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import Hosts
from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.algorithm.prepare import Data
from darkroom.algorithm.snapshots import Snapshot, SnapshotError
from darkroom.contract.layout import Layout

SECONDS = 60.0  # between two, unless DARKROOM_CHECKPOINT_SECONDS says otherwise …
SHARE = 0.01  # … or writing them would take more than this part of the time
AT_LEAST = 3.0  # seconds between those of short epochs: the platform must find a file at rest to store it
MAY_DIFFER = {"epochs", "num_training_samples", "kv_store"}  # more epochs go on; the images are counted anyway
UNSAID = {"DARKROOM_PROCESSES": 1}  # of which old checkpoints say nothing
Kept = Mapping[str, str | int]  # as a snapshot has it
LINKS_FAIL = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


class Recovery:
    """``folder`` is None where no checkpoints are wanted. ``seconds`` between two; None: chosen here."""

    def __init__(
        self,
        folder: Path | None,
        model: Path,
        log: logging.Logger,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._model, self._log, self._clock = folder, model, log, clock
        self._given, self._cost = seconds, 0.0
        self._last = clock()
        self._written: list[tuple[str, Kept]] = []  # name and model files, the latest last

    @property
    def wanted(self) -> bool:
        return self._folder is not None

    def find(self) -> Snapshot | None:
        """The furthest that is whole; what is not is said and passed over."""
        for path in snapshots.found(self._folder) if self._folder else []:
            try:
                return snapshots.read(path)
            except SnapshotError as error:
                self._log.warning("Passed over: %s", error)
        return None

    def take_up(self, snapshot: Snapshot) -> None:
        """The models that the job had stored are stored again; what later attempts left is taken away."""
        if self._folder is None:
            return
        self._model.mkdir(parents=True, exist_ok=True)
        for name in snapshot.kept:
            _link(self._folder / name, self._model / name)
        self._written = [(snapshot.name, snapshot.kept)]
        for path in (*snapshots.found(self._folder), *self._folder.glob("image-classification-*.params")):
            if path.name not in {snapshot.name, *snapshot.kept}:
                path.unlink()
        self._last = self._clock()

    def due(self, *, epoch_ends: bool = False) -> bool:
        """Whether it is time for the next one."""
        if self._folder is None:
            return False
        seconds = max(SECONDS, self._cost / SHARE) if self._given is None else self._given
        return self._clock() - self._last >= (min(AT_LEAST, seconds) if epoch_ends else seconds)

    def keep(self, snapshot: Callable[[Kept], Snapshot]) -> None:
        """Write ``snapshot(kept)``; ``kept`` names the model files of now. A full disk ends no training."""
        assert self._folder is not None
        began = self._clock()
        try:
            known = {name: told for _, earlier in self._written for name, told in earlier.items()}
            kept = {path.name: known.get(path.name) or snapshots.digest(path) for path in self._stored()}
            for name in kept.keys() - known.keys():
                _link(self._model / name, self._folder / name)
            first, second = snapshots.NAMES
            name = second if self._written and self._written[-1][0] == first else first
            snapshots.write(self._folder, replace(snapshot(kept), name=name))
        except OSError as error:
            self._log.warning("The checkpoint could not be written (%s); training goes on.", error)
        else:
            self._forget(name, kept)
        self._last = self._clock()
        self._cost = self._last - began

    def _stored(self) -> list[Path]:
        return [path for path in self._model.glob("[!.]*") if path.is_file()]

    def _forget(self, written: str, kept: Kept) -> None:
        """The models that only the one before the last had."""
        assert self._folder is not None
        gone, self._written = self._written[:-1], [*self._written[-1:], (written, kept)]
        needed = {name for _, models in self._written for name in models}
        for name in {name for _, models in gone for name in models} - needed:
            (self._folder / name).unlink(missing_ok=True)


def of(layout: Layout, environ: Mapping[str, str], log: logging.Logger, saves: bool = True) -> Recovery:
    """On where the platform keeps /opt/ml/checkpoints (DARKROOM_CHECKPOINTS), or where checkpoints lie there.

    ``saves``: only one of several processes does. Raises CustomerError.
    """
    text = environ.get("DARKROOM_CHECKPOINT_SECONDS", "")
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = -1.0
    if seconds is not None and not seconds >= 0:
        raise CustomerError(f"The environment variable DARKROOM_CHECKPOINT_SECONDS must be a number, not {text!r}.")
    told = environ.get("DARKROOM_CHECKPOINTS", "")
    folder = layout.checkpoints if told in ("", "1", "true") else layout.base / told
    wanted = bool(told or snapshots.found(folder)) and saves
    if wanted:
        folder.mkdir(parents=True, exist_ok=True)
    return Recovery(folder if wanted else None, layout.model, log, seconds)


def job_of(data: Data, names: tuple[str, ...] | None, seed: int, start: str, hosts: Hosts) -> dict[str, Any]:
    """What makes a training this one and no other, by the names that a user knows it by."""
    values: Hyperparameters = data.values
    job = {name: value for name, value in asdict(values).items() if name not in MAY_DIFFER}
    job |= {"DARKROOM_SEED": seed, "number of hosts": hosts.count, "first weights": start}
    job |= {"DARKROOM_PROCESSES": hosts.processes // hosts.count}
    job |= {"class names": None if names is None else list(names)}
    for channel, images in (("train", data.train), ("validation", data.validation)):
        known = None if images is None else f"{len(images)} ({_digest(images.classes)})"
        everyones = hosts.everyone(known) if channel in data.sharded else known
        job[f"images and labels of the {channel} channel"] = everyones
    return job


def check(job: Mapping[str, Any], other: Mapping[str, Any], name: str) -> None:
    """Raises CustomerError, saying what differs, where the checkpoint ``name`` is of ``other`` and not of ``job``."""
    job, other = UNSAID | dict(job), UNSAID | dict(other)
    names = [*job, *(name for name in other if name not in job)]
    differ = [
        f"{name} is {job.get(name)}, there {other.get(name)}" for name in names if job.get(name) != other.get(name)
    ]
    if differ:
        more = f"; and {len(differ) - 5} more" if len(differ) > 5 else ""
        raise CustomerError(
            f"The checkpoint {name} is of another job: {'; '.join(differ[:5])}{more}. Give this job a "
            "CheckpointConfig.S3Uri of its own, or take the files of the other one away from there."
        )


def _digest(classes: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(classes).tobytes()).hexdigest()[:12]


def _link(source: Path, target: Path) -> None:
    """A model file under a second name, or a copy where the file system has no links. Model files are replaced, never
    written to."""

    def fill(part: Path) -> None:
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError as error:
            if error.errno not in LINKS_FAIL:
                raise
            shutil.copyfile(source, part)

    snapshots.appear(target, fill)
