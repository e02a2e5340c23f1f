"""When things happen: the learning rate of an update, the end of patience, the epochs that are kept.

Pure functions of counts and accuracies; they know no network, no clock and no file.
"""

from collections.abc import Sequence

from darkroom.algorithm.hyperparameters import Hyperparameters


def learning_rate(values: Hyperparameters, batches_per_epoch: int, update: int) -> float:
    """Learning rate of the ``update``-th update, counted from 1.

    MXNet's MultiFactorScheduler: it drops at the first update after the step, ``num_update > step``.
    """
    passed = sum(update > epoch * batches_per_epoch for epoch in values.lr_steps)
    return values.learning_rate * values.lr_scheduler_factor**passed


def batches_per_epoch(samples: int, batch_size: int) -> int:
    """The last, partial batch is left out; each epoch's order is another, so nothing is left out for good."""
    return samples // batch_size


def is_kept(values: Hyperparameters, epoch: int, accuracy: float | None, earlier: Sequence[float]) -> bool:
    """Whether to store the model of this epoch (from 0): every so many with checkpoint_frequency, else where its
    validation accuracy is strictly above all ``earlier`` ones, or, without validation, at the last epoch."""
    if values.checkpoint_frequency is not None:
        return (epoch + 1) % values.checkpoint_frequency == 0
    if accuracy is None:
        return epoch + 1 == values.epochs
    return accuracy > max(earlier, default=-1.0)


def patience_is_over(values: Hyperparameters, accuracies: Sequence[float]) -> bool:
    """Whether to stop after these epochs' validation accuracies.

    An epoch improves when it beats the best before it by early_stopping_tolerance of that best. SageMaker's words leave
    open what an equal accuracy is with tolerance 0; here it is no improvement, or a run at 1.0 would never stop.
    """
    if not values.early_stopping or len(accuracies) < values.early_stopping_min_epochs:
        return False
    best, last_improved = 0.0, -1
    for epoch, accuracy in enumerate(accuracies):
        if accuracy > best:
            if best == 0 or (accuracy - best) / best >= values.early_stopping_tolerance:
                last_improved = epoch
            best = accuracy
    return len(accuracies) - 1 - last_improved >= values.early_stopping_patience
