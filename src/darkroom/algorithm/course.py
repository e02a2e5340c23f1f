"""How far a training has come: the place in its epoch, the counts so far, the accuracies, what the kept model answered.

Together with the learner's state it is all that the rest of the run depends on, so that a run can be taken up again.
Knows no file and no clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from darkroom.algorithm.hosts import Hosts, shared
from darkroom.algorithm.learner import Learner
from darkroom.algorithm.metrics import Tally, together
from darkroom.algorithm.prepare import LeftOut
from darkroom.algorithm.report.answers import Answers
from darkroom.algorithm.report.history import History

Verdicts = npt.NDArray[np.float64]  # (images,) 1 right, 0 wrong (multi_label: share of classes right), nan unreadable
TENSORS = VERDICTS, ROWS, COUNTS = "course.verdicts", "history.rows", "history.counts"


@dataclass
class Course:
    """``tally`` and ``seconds`` are of the epoch that is under way."""

    tally: Tally
    epoch: int = 0  # epochs that are over
    batch: int = 0  # batches of the next one that are done
    seconds: float = 0.0
    accuracies: list[float] = field(default_factory=list)  # of validation, by epoch
    verdicts: Verdicts | None = None  # of the model that was stored last
    stopped: bool = False  # by request, on all hosts alike
    parted: bool = False  # in the middle of a batch: other hosts cannot be asked any more

    @property
    def latest(self) -> int:
        """The epoch (from 0) that was trained last, whole or in part."""
        return max(0, self.epoch + bool(self.batch) - 1)

    def next_epoch(self, tally: Tally) -> None:
        self.epoch, self.batch, self.seconds, self.tally = self.epoch + 1, 0, 0.0, tally


def metrics(course: Course, hosts: Hosts) -> Mapping[str, float]:
    """Of the epoch under way, over what all processes of this host have seen. Waits for the device."""
    if not shared(hosts):
        return course.tally.values()
    return together(hosts.everyone(course.tally.state()))


def loss(course: Course, learner: Learner, hosts: Hosts) -> float:
    """Mean over the batches of the epoch under way, of all processes of this host. Waits for the device."""
    total, count = learner.losses
    own = total / max(1, count)
    if not shared(hosts):
        return own
    told = hosts.everyone([own, course.tally.state()["answers"]["accuracy"]])
    return sum(mean * answers for mean, answers in told) / max(1, sum(answers for _, answers in told))


def share(course: Course, learner: Learner, left_out: LeftOut) -> dict[str, Any]:
    """What is a process's own, as JSON: what it has counted of the epoch under way, and which images it cannot read."""
    return {"tally": course.tally.state(), "losses": list(learner.losses), "left_out": left_out}


def describe(course: Course, shares: Sequence[Any], history: History) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The course as JSON and tensors. ``shares``: those of all processes, in the order of ranks."""
    told, tensors = history.state(), dict[str, Tensor]()
    if course.verdicts is not None:
        tensors[VERDICTS] = torch.from_numpy(course.verdicts)
    if told["answers"] is not None:
        tensors[ROWS] = torch.from_numpy(told["answers"]["rows"])
        tensors[COUNTS] = torch.from_numpy(told["answers"]["counts"])
    epochs = [epoch for epoch in told["epochs"] if epoch["number"] < course.epoch]  # the next will tell itself
    progress = {"seconds": course.seconds, "accuracies": course.accuracies, "epochs": epochs}
    return progress | {"shares": list(shares)}, tensors


def left_out(progress: Mapping[str, Any], rank: int) -> dict[str, list[int]]:
    """Of what ``describe`` gave: the images that a process could not read, by channel. Raises ValueError."""
    try:
        return {str(channel): [int(k) for k in places] for channel, places in _own(progress, rank)["left_out"].items()}
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"it does not say which images were left out ({error!r})") from error


def _own(progress: Mapping[str, Any], rank: int) -> Any:
    """A process's share; the first one's where there were fewer processes: such a job is refused soon."""
    shares = progress["shares"]
    return shares[rank] if rank < len(shares) else shares[0]


def restore(
    course: Course,
    learner: Learner,
    history: History,
    progress: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    rank: int,
    images: int,
    answered: int,
) -> None:
    """Take up what ``describe`` gave, but for the place; ``images``: of validation, of this host, and ``answered`` of
    all. Raises ValueError."""
    try:
        own = _own(progress, rank)
        course.seconds = float(progress["seconds"])
        course.accuracies = [float(accuracy) for accuracy in progress["accuracies"]]
        course.tally.restore(own["tally"])
        learner.losses = (float(own["losses"][0]), int(own["losses"][1]))
        course.verdicts = _array(tensors, VERDICTS, (images,), torch.float64)
        none = Answers.none(answered, history.classes)
        rows = _array(tensors, ROWS, none.rows.shape, torch.float64)
        counts = _array(tensors, COUNTS, none.counts.shape, torch.int64)
        answers = None if rows is None or counts is None else {"rows": rows, "counts": counts}
        history.restore({"epochs": progress["epochs"], "answers": answers})
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"what it says of the training so far is not complete ({error!r})") from error


def _array(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...], kind: torch.dtype
) -> npt.NDArray[Any] | None:
    tensor = tensors.get(name)
    if tensor is None:
        return None
    if (tuple(tensor.shape), tensor.dtype) != (shape, kind):
        raise ValueError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}")
    return tensor.numpy().copy()
