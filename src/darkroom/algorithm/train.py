"""The training loop: epochs of updates, validation after each, the models worth keeping kept.

What it decides it asks of ``schedule``; what it prints is worded in ``lines``.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.algorithm import lines, schedule
from darkroom.algorithm.checkpoints import Checkpoints
from darkroom.algorithm.data import order
from darkroom.algorithm.data.pipeline import batches
from darkroom.algorithm.data.views import augmented, centre
from darkroom.algorithm.learner import Learner
from darkroom.algorithm.metrics import Tally, verdicts_of
from darkroom.algorithm.prepare import Data
from darkroom.algorithm.report.history import History
from darkroom.algorithm.stopping import StopSignal

Verdicts = npt.NDArray[np.float64]  # (images,) 1 right, 0 wrong (multi_label: share of classes right), nan unreadable


@dataclass(frozen=True)
class Run:
    """What the loop needs beside data and learner."""

    threads: int
    seed: int
    speedometer: int  # batches between progress lines
    stop: StopSignal
    log: logging.Logger
    history: History
    clock: Callable[[], float] = time.monotonic


def train(data: Data, learner: Learner, checkpoints: Checkpoints, run: Run) -> Verdicts | None:
    """Train to the last epoch, the end of patience, or a stop; at least one model is stored.

    Returns what validation said of the images for the model stored last; None where it was not validated.
    """
    values, accuracies, stored = data.values, list[float](), None
    for epoch in range(values.epochs):
        metrics, seconds = train_epoch(data, learner, epoch, run)
        if run.stop.asked:
            break
        _print(run.log, lines.epoch_end(epoch, metrics, seconds))
        verdicts = None if data.validation is None else validate(data, learner, run)
        if run.stop.asked:
            break
        accuracy = None if verdicts is None else float(np.nanmean(verdicts))
        if accuracy is not None:
            run.history.validated(accuracy)
            _print(run.log, [lines.validation(epoch, accuracy)])
        if schedule.is_kept(values, epoch, accuracy, accuracies):
            if accuracy is not None and values.checkpoint_frequency is None:
                _print(run.log, [lines.storing_best(accuracy)])
            checkpoints.store(epoch, keep_earlier=values.checkpoint_frequency is not None)
            run.history.stored()
            stored = verdicts
        accuracies += [] if accuracy is None else [accuracy]
        if schedule.patience_is_over(values, accuracies):
            run.history.ended = lines.early_stopping(values)
            _print(run.log, [run.history.ended])
            break
    if checkpoints.empty:
        checkpoints.store(epoch)
    return stored


def train_epoch(data: Data, learner: Learner, epoch: int, run: Run) -> tuple[Mapping[str, float], float]:
    """One pass over the training images. Returns its metrics and the seconds it took."""
    values = data.values
    size = values.mini_batch_size
    count = schedule.batches_per_epoch(values.num_training_samples, size)
    orders = order.epoch_batches(len(data.train), size, count, run.seed, epoch)
    tally, began, rate = Tally(values.top_k), run.clock(), values.learning_rate
    fill = augmented(data.train, data.preprocess, values.augmentation_type, run.seed, epoch)
    for number, batch in enumerate(batches(data.train, orders, fill, data.preprocess.shape, run.threads)):
        rate = schedule.learning_rate(values, count, update=epoch * count + number + 1)
        tally.add(*learner.update(batch.images, batch.labels, rate))
        if number and number % run.speedometer == 0:
            speed = number * size / (run.clock() - began)  # MXNet's own arithmetic: the first batch is warming up
            _print(run.log, [lines.batch(epoch, number, speed, tally.values())])
        if run.stop.asked:
            break
    if tally.diverged:
        remedy = f"Use a smaller learning_rate (it is {values.learning_rate:g})."
        run.log.warning("Training diverged: the network's answers are no longer numbers. %s", remedy)
    metrics, seconds = tally.values(), run.clock() - began
    if not run.stop.asked:
        run.history.trained(epoch, metrics, learner.mean_loss(), rate, seconds)
    return metrics, seconds


def validate(data: Data, learner: Learner, run: Run) -> Verdicts:
    """What the network says of each image, each counted once. (SageMaker's own last batch wraps round to the first
    images, so that the accuracy it prints counts some twice and skips others.)"""
    images = data.validation
    assert images is not None
    verdicts = np.full(len(images), np.nan)
    run.history.validating(len(images))
    orders = order.in_turn(len(images), data.values.mini_batch_size)
    for batch in batches(images, orders, centre(images), data.preprocess.shape, run.threads):
        scores = learner.score(batch.images).cpu()
        verdicts[batch.order] = verdicts_of(scores, batch.labels)
        run.history.answered(batch.order, scores.numpy(), batch.labels)
        if run.stop.asked:
            break
    return verdicts


def _print(log: logging.Logger, texts: Iterable[str]) -> None:
    for text in texts:
        log.info("%s", text)
