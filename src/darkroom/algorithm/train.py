"""The training loop: epochs of updates, validation after each, the models worth keeping kept.

What it decides it asks of ``schedule``; what it prints is worded in ``lines``.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from darkroom.algorithm import course as courses
from darkroom.algorithm import lines, schedule
from darkroom.algorithm.checkpoints import Checkpoints
from darkroom.algorithm.course import Course, Verdicts
from darkroom.algorithm.data import order
from darkroom.algorithm.data.pipeline import batches
from darkroom.algorithm.data.views import augmented, centre
from darkroom.algorithm.failures import PeerError
from darkroom.algorithm.hosts import ALONE, Hosts, merged, of_each, side_by_side
from darkroom.algorithm.learner import Learner
from darkroom.algorithm.metrics import Tally, verdicts_of
from darkroom.algorithm.prepare import Data, LeftOut
from darkroom.algorithm.recovery import Recovery
from darkroom.algorithm.report.history import History
from darkroom.algorithm.snapshots import Snapshot
from darkroom.algorithm.stopping import Interrupted, StopSignal


@dataclass(frozen=True)
class Run:
    """What the loop needs beside data and learner. ``job`` and ``left_out`` are written to its checkpoints."""

    threads: int
    seed: int
    speedometer: int  # batches between progress lines
    stop: StopSignal
    log: logging.Logger
    history: History
    recovery: Recovery
    job: Mapping[str, Any]
    left_out: LeftOut
    strict: bool = False  # print the validation accuracy that MXNet would
    hosts: Hosts = ALONE
    clock: Callable[[], float] = time.monotonic


def train(data: Data, learner: Learner, checkpoints: Checkpoints, course: Course, run: Run) -> None:
    """Train from where ``course`` is to the last epoch, the end of patience, or a stop; at least one model is stored.

    ``course`` holds at the end what validation said of the images for the model stored last, and whether it was a stop.
    """
    values = data.values
    try:
        _to_the_end(data, learner, checkpoints, course, run)
    except (Interrupted, PeerError):
        if not run.stop.asked:
            raise
        _break_off(learner, course, run)
    if schedule.patience_is_over(values, course.accuracies) and not course.stopped:
        run.history.ended = lines.early_stopping(values)
        _print(run.log, [run.history.ended])
    if checkpoints.empty:
        checkpoints.store(course.latest)


def _to_the_end(data: Data, learner: Learner, checkpoints: Checkpoints, course: Course, run: Run) -> None:
    values = data.values
    while course.epoch < values.epochs and not schedule.patience_is_over(values, course.accuracies):
        _train_and_validate(data, learner, checkpoints, course, run)
        if course.stopped:
            return
        course.next_epoch(Tally(values.top_k))
        over = course.epoch >= values.epochs or schedule.patience_is_over(values, course.accuracies)
        if any(run.hosts.any(run.recovery.due(epoch_ends=True) or (over and run.recovery.wanted))):
            _keep(learner, course, run)


def _break_off(learner: Learner, course: Course, run: Run) -> None:
    """The stop came in the middle of a batch that would take too long, or other processes did not wait for its end."""
    learner.undo()
    course.stopped = course.parted = True
    run.log.info("The batch in hand was broken off.")
    if run.hosts.processes == 1:  # several cannot agree any more
        _keep(learner, course, run)


def _train_and_validate(data: Data, learner: Learner, checkpoints: Checkpoints, course: Course, run: Run) -> None:
    """One epoch, from where it is; it may end in a stop."""
    values, epoch = data.values, course.epoch
    rate = train_epoch(data, learner, course, run)
    if course.stopped:
        return
    metrics = courses.metrics(course, run.hosts)
    _print(run.log, lines.epoch_end(epoch, metrics, course.seconds))
    run.history.trained(epoch, metrics, courses.loss(course, learner, run.hosts), rate, course.seconds)
    verdicts = None if data.validation is None else validate(data, learner, run)
    (course.stopped,) = run.hosts.any(run.stop.asked)
    if course.stopped:
        _keep(learner, course, run)
        return
    learner.losses = (0.0, 0)
    accuracy = None
    if verdicts is not None:
        verdicts, accuracy = _judged(verdicts, data, epoch, run)
        run.history.validated(accuracy)
        _print(run.log, [lines.validation(epoch, accuracy)])
    if schedule.is_kept(values, epoch, accuracy, course.accuracies):
        every = values.checkpoint_frequency is not None
        checkpoints.store(epoch, keep_earlier=every, accuracy=None if every else accuracy)
        run.history.stored()
        course.verdicts = verdicts
    course.accuracies += [] if accuracy is None else [accuracy]


def _judged(verdicts: Verdicts, data: Data, epoch: int, run: Run) -> tuple[Verdicts, float]:
    """What all processes together say of this one's images, and the accuracy over all images. Strict: over those that
    MXNet would count."""
    if "validation" in data.sharded:
        run.history.put_together(partial(side_by_side, hosts=run.hosts), run.hosts.total)
        return verdicts, _accuracy(verdicts, run.hosts)
    if run.hosts.processes > 1:
        verdicts = merged(verdicts, run.hosts)
        run.history.put_together(partial(merged, hosts=run.hosts), run.hosts.total)
    counted = order.wrapped(len(verdicts), data.values.mini_batch_size, epoch) if run.strict else slice(None)
    return verdicts, _accuracy(verdicts[counted], ALONE)


def _accuracy(verdicts: Verdicts, hosts: Hosts) -> float:
    """Share of right answers over the images of ``hosts``."""
    told = hosts.everyone([float(np.nansum(verdicts)), int(np.count_nonzero(~np.isnan(verdicts)))])
    right, count = (sum(numbers) for numbers in zip(*told, strict=True))
    return right / count if count else float("nan")


def train_epoch(data: Data, learner: Learner, course: Course, run: Run) -> float:
    """The rest of a pass over the training images. Returns the learning rate of its last update."""
    values, epoch, done = data.values, course.epoch, course.batch
    size, count = values.mini_batch_size, data.batches
    orders = _orders(data, run, epoch)[done:]
    began = run.clock() - course.seconds
    fill = augmented(data.train, data.preprocess, values.augmentation_type, run.seed, epoch)
    for number, batch in enumerate(batches(data.train, orders, fill, data.preprocess.shape, run.threads), done):
        rate = schedule.learning_rate(values, count, update=epoch * count + number + 1)
        course.tally.add(*learner.update(batch.images, batch.labels, rate))
        course.batch, course.seconds = number + 1, run.clock() - began
        if number and number % run.speedometer == 0:
            speed = number * size / course.seconds  # MXNet's own arithmetic: the first batch is warming up
            _print(run.log, [lines.batch(epoch, number, speed, courses.metrics(course, run.hosts))])
        course.stopped, due = run.hosts.any(run.stop.asked, run.recovery.due())
        if course.stopped or due:
            _keep(learner, course, run)
        if course.stopped:
            break
    if course.tally.diverged:
        remedy = f"Use a smaller learning_rate (it is {values.learning_rate:g})."
        run.log.warning("Training diverged: the network's answers are no longer numbers. %s", remedy)
    course.seconds = run.clock() - began
    return schedule.learning_rate(values, count, update=epoch * count + max(1, course.batch))


def _orders(data: Data, run: Run, epoch: int) -> npt.NDArray[np.int64]:
    """(batches, images) of this process in an epoch: mini_batch_size images, or its part of so many where processes
    share a host. Who has the same images shares one order of large batches, as one process with batches of that size
    would have it."""
    size, hosts = data.values.mini_batch_size, run.hosts
    if "train" in data.sharded:
        return order.epoch_batches(len(data.train), size, data.batches, run.seed, epoch)
    batches = order.epoch_batches(len(data.train), size * hosts.count, data.batches, run.seed, epoch)
    return np.array_split(batches, hosts.processes, axis=1)[hosts.rank]


def _keep(learner: Learner, course: Course, run: Run) -> None:
    """Write down where the training is, if that is wanted; all processes are at the same place."""
    shares = run.hosts.everyone(courses.share(course, learner, run.left_out))
    if run.recovery.wanted:
        run.recovery.keep(partial(_snapshot, learner, course, run, shares))


def _snapshot(learner: Learner, course: Course, run: Run, shares: list[Any], kept: Mapping[str, str | int]) -> Snapshot:
    progress, tensors = courses.describe(course, shares, run.history)
    return Snapshot(course.epoch, course.batch, run.job, progress, kept, learner.state() | tensors)


def validate(data: Data, learner: Learner, run: Run) -> Verdicts:
    """What the network says of each image of this process's part, each counted once."""
    images = data.validation
    assert images is not None
    verdicts = np.full(len(images), np.nan)
    run.history.validating(len(images))
    orders = order.in_turn(len(images), of_each(data.values.mini_batch_size, run.hosts))
    if "validation" not in data.sharded:
        orders = orders[run.hosts.rank :: run.hosts.processes]
    for batch in batches(images, orders, centre(images), data.preprocess.shape, run.threads):
        if run.stop.asked:
            break
        if not len(batch.order):
            continue
        scores = learner.score(batch.images).cpu()
        verdicts[batch.order] = verdicts_of(scores, batch.labels)
        run.history.answered(batch.order, scores.numpy(), batch.labels)
    return verdicts


def _print(log: logging.Logger, texts: Iterable[str]) -> None:
    for text in texts:
        log.info("%s", text)
