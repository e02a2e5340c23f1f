"""A training job as it goes on, shown live: status and log lines over the wire, a bar where there is a terminal.

Where nobody looks (a pipe, CI) it is one plain line an epoch.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from darkroom.cli.connection import Connection, code_of
from darkroom.cli.console import duration, err
from darkroom.cli.job_log import Progress, advance

GROUP = "/aws/sagemaker/TrainingJobs"
POLL_S = 0.5
WIDE = 100  # columns of a terminal that holds a long bar beside everything else
ENDED = ("Completed", "Failed", "Stopped")

Wait = Callable[[float], None]


@dataclass
class LogReader:
    """New lines of every stream of a job: each ``read`` goes on where the last one ended."""

    connection: Connection
    job: str
    group: str = GROUP
    tail: str = "/"  # between a job's name and a host's; empty: the one stream has the job's name
    every: bool = False  # every stream of the group
    named: bool = False  # where there are several hosts, each line begins with its host
    _tokens: dict[str, str] = field(default_factory=dict)

    def read(self) -> Iterator[str]:
        """Lines that have come since, in order; nothing where there is no log yet."""
        streams = self._streams()
        for stream in streams:
            name = f"{host_of(stream)} | " if self.named and len(streams) > 1 else ""
            while True:
                place = {"nextToken": self._tokens[stream]} if stream in self._tokens else {"startFromHead": True}
                page = self.connection.logs.get_log_events(logGroupName=self.group, logStreamName=stream, **place)
                self._tokens[stream] = page["nextForwardToken"]
                if not page["events"]:
                    break
                yield from (name + event["message"] for event in page["events"])

    def _streams(self) -> list[str]:
        try:
            answer = self.connection.logs.describe_log_streams(
                logGroupName=self.group, **({} if self.every else {"logStreamNamePrefix": f"{self.job}{self.tail}"})
            )
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return []
            raise
        names = [stream["logStreamName"] for stream in answer["logStreams"]]
        return names if self.tail or self.every else [name for name in names if name == self.job]


def host_of(stream: str) -> str:
    """``algo-1`` of ``job/algo-1-1700000000``."""
    return stream.rpartition("/")[2].rpartition("-")[0]


def watch(connection: Connection, job: str, wait: Wait = time.sleep) -> tuple[dict[str, Any], Progress]:
    """Show a job until it ends. Its last description, and what its log told."""
    reader, progress = LogReader(connection, job), Progress()
    show = BarView() if err.is_terminal else LineView()
    with show:
        while True:
            described = connection.sagemaker.describe_training_job(TrainingJobName=job)
            for message in reader.read():  # after the status: once that says it ended, every line is there
                progress = advance(progress, message)
                show.update(progress, described["SecondaryStatus"])
            show.update(progress, described["SecondaryStatus"])
            if described["TrainingJobStatus"] in ENDED:
                return described, progress
            wait(POLL_S)


class BarView:
    """One moving line: what it is doing, a bar, epoch, accuracy, speed, time left."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("[bold]{task.fields[stage]}[/]"),
            BarColumn(bar_width=28 if err.width >= WIDE else 12),
            TextColumn("{task.fields[detail]}"),
            console=err,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("", total=1.0, stage="Starting", detail="")

    def __enter__(self) -> "BarView":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, stage: str) -> None:
        left = progress.seconds_left
        said = details(progress, min(progress.epochs_done + 1, progress.epochs))
        detail = " · ".join([*said, *([f"{duration(left)} left"] if left else [])])
        self._bar.update(self._task, completed=progress.fraction, stage=stage, detail=detail)


class LineView:
    """A line for every new stage and every epoch done."""

    def __init__(self) -> None:
        self._stage, self._validated = "", 0

    def __enter__(self) -> "LineView":
        return self

    def __exit__(self, *error: object) -> None:
        return

    def update(self, progress: Progress, stage: str) -> None:
        if stage != self._stage:
            self._stage = stage
            err.print(stage)
        if progress.epochs_validated > self._validated:
            self._validated = progress.epochs_validated
            err.print("  " + ", ".join(details(progress, progress.epochs_validated)))


def details(progress: Progress, epoch: int) -> list[str]:
    """What is known, in words: epoch, accuracies, speed."""
    said = [f"epoch {epoch}/{progress.epochs}"] if progress.epochs else []
    if progress.validation_accuracy is not None:
        said.append(f"accuracy {progress.validation_accuracy:.1%}")
    elif progress.train_accuracy is not None:
        said.append(f"accuracy in training {progress.train_accuracy:.1%}")
    if progress.images_per_s:
        said.append(f"{progress.images_per_s:,.0f} images/s")
    return said
