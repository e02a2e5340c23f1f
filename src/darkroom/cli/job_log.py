"""What a training job's log lines tell of its progress: pure functions over the real algorithm's wording.

Knows the lines and nothing of where they come from, nor of how progress is shown.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

PREFIX = re.compile(r"^\[\d\d/\d\d/\d{4} [\d:]{8} [A-Z]+ \d+\] ")


@dataclass(frozen=True)
class Progress:
    """A job so far. Epochs and batches are counted from 0 in the log and by how many are done here; accuracies 0…1."""

    epochs: int = 0
    epochs_done: int = 0
    epochs_validated: int = 0
    samples: int = 0
    batch_size: int = 0
    batches_done: int = 0  # of the epoch under way
    train_accuracy: float | None = None
    validation_accuracy: float | None = None
    best_accuracy: float | None = None  # of the model that is kept
    images_per_s: float | None = None
    seconds: float = 0.0  # that training took in the epochs done; validation is not in it

    @property
    def batches(self) -> int:
        """Batches in an epoch; 0 while unknown."""
        return self.samples // self.batch_size if self.batch_size else 0

    @property
    def fraction(self) -> float:
        """Part of all training that is done, 0…1."""
        if not self.epochs:
            return 0.0
        part = min(1.0, self.batches_done / self.batches) if self.batches else 0.0
        return min(1.0, (self.epochs_done + part) / self.epochs)

    @property
    def seconds_left(self) -> float | None:
        """As long as the epochs took so far; None before the first one has ended, and at the end."""
        if not self.epochs_done or self.fraction >= 1:
            return None
        return (1 - self.fraction) * self.epochs * self.seconds / self.epochs_done


def advance(progress: Progress, message: str) -> Progress:
    """``progress`` after one more log line; lines that say nothing about it leave it as it is."""
    text = PREFIX.sub("", message)
    for pattern, read in READERS:
        if found := pattern.search(text):
            return read(progress, found)
    return progress


def _batch(progress: Progress, found: "re.Match[str]") -> Progress:
    accuracy = float(found["accuracy"]) if found["accuracy"] else progress.train_accuracy
    speed, done = float(found["speed"]), int(found["batch"]) + 1
    return replace(progress, batches_done=done, images_per_s=speed, train_accuracy=accuracy)


def _time_cost(progress: Progress, found: "re.Match[str]") -> Progress:
    """The end of an epoch's training part; its speed is the one of the whole epoch."""
    seconds, trained = float(found["seconds"]), progress.batches * progress.batch_size
    speed = trained / seconds if seconds > 0 and trained else progress.images_per_s
    return replace(
        progress,
        epochs_done=int(found["epoch"]) + 1,
        batches_done=0,
        seconds=progress.seconds + seconds,
        images_per_s=speed,
    )


Reader = tuple["re.Pattern[str]", Callable[[Progress, "re.Match[str]"], Progress]]
READERS: tuple[Reader, ...] = (
    (
        re.compile(
            r"^Epoch\[\d+\] Batch \[(?P<batch>\d+)\](?:\t|#011)Speed: (?P<speed>[\d.]+) samples/sec"
            r"(?:.*?accuracy=(?P<accuracy>[\d.]+))?"
        ),
        _batch,
    ),
    (
        re.compile(r"^Epoch\[\d+\] Train-accuracy=(?P<value>[\d.]+)"),
        lambda p, m: replace(p, train_accuracy=float(m["value"])),
    ),
    (re.compile(r"^Epoch\[(?P<epoch>\d+)\] Time cost=(?P<seconds>[\d.]+)"), _time_cost),
    (
        re.compile(r"^Epoch\[(?P<epoch>\d+)\] Validation-accuracy=(?P<value>[\d.]+)"),
        lambda p, m: replace(p, epochs_validated=int(m["epoch"]) + 1, validation_accuracy=float(m["value"])),
    ),
    (
        re.compile(r"^Storing the best model with validation accuracy: (?P<value>[\d.]+)"),
        lambda p, m: replace(p, best_accuracy=float(m["value"])),
    ),
    (re.compile(r"^epochs: (?P<value>\d+)$"), lambda p, m: replace(p, epochs=int(m["value"]))),
    (re.compile(r"^num_training_samples: (?P<value>\d+)$"), lambda p, m: replace(p, samples=int(m["value"]))),
    (re.compile(r"^mini_batch_size: (?P<value>\d+)$"), lambda p, m: replace(p, batch_size=int(m["value"]))),
)
