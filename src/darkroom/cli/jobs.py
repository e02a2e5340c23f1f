"""``jobs``, ``logs``, ``stop``: training jobs that are there already."""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.table import Column, Table

from darkroom.cli.connection import Connection, connect, message_of
from darkroom.cli.console import Failure, duration, out, unknown
from darkroom.cli.watching import ENDED, GROUP, POLL_S, LogReader

COLOURS = {"Completed": "green", "InService": "green", "Failed": "red", "Stopped": "yellow"}
DAY = timedelta(days=1)
JobArgument = Annotated[str, typer.Argument(help="Name of a training job.", metavar="JOB")]


def jobs(count: Annotated[int, typer.Option("--count", "-n", help="How many, newest first.", min=1)] = 20) -> None:
    """List training jobs, newest first."""
    connection = connect()
    names = [job["TrainingJobName"] for job in connection.list_all("list_training_jobs", "TrainingJobSummaries", count)]
    if not names:
        out.print("No training job yet; start one with: darkroom train FOLDER")
        return
    table = plain_table("job", "status", "accuracy", "started", "took")
    for name in names:
        job = connection.sagemaker.describe_training_job(TrainingJobName=name)
        table.add_row(*_row(job, best_accuracy(connection, job), datetime.now(UTC)))
    out.print(table)


def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print the log of a training job."""
    connection = connect()
    reader = LogReader(connection, job, named=True)
    while True:
        ended = describe(connection, job)["TrainingJobStatus"] in ENDED
        for message in reader.read():
            print(message.replace("#011", "\t"), flush=True)
        if ended or not follow:
            return
        time.sleep(POLL_S)


def stop(job: JobArgument) -> None:
    """Stop a training job; the model stored so far is kept."""
    connection = connect()
    status = describe(connection, job)["TrainingJobStatus"]
    if status in ENDED:
        raise Failure(f"{job} has ended already: {status}")
    connection.sagemaker.stop_training_job(TrainingJobName=job)
    out.print(f"Stopping {job}; the model stored so far is kept. See how it ends: darkroom logs {job} -f")


def describe(connection: Connection, job: str) -> dict[str, Any]:
    """DescribeTrainingJob. Raises Failure for an unknown name, and names the ones that look like it."""
    try:
        described: dict[str, Any] = connection.sagemaker.describe_training_job(TrainingJobName=job)
    except ClientError as error:
        if "not found" not in message_of(error).lower():
            raise
        known = (j["TrainingJobName"] for j in connection.list_all("list_training_jobs", "TrainingJobSummaries", 200))
        raise unknown("training job", job, known) from None
    return described


def plain_table(*columns: str) -> Table:
    first, *others = columns
    return Table(Column(first, overflow="fold"), *others, box=None, header_style="bold", padding=(0, 2, 0, 0))


def coloured(status: str) -> str:
    colour = COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else status


def ago(moment: datetime, now: datetime) -> str:
    seconds = (now - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds < 24 * 3600 else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def best_accuracy(connection: Connection, job: dict[str, Any]) -> float | None:
    """Of the model that is kept, 0…1. FinalMetricDataList holds the last epoch's, which need not be the best."""
    if "TrainingStartTime" not in job:
        return None
    points = connection.cloudwatch.get_metric_statistics(
        Namespace=GROUP,
        MetricName="validation:accuracy",
        Dimensions=[{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
        StartTime=job["TrainingStartTime"] - DAY,
        EndTime=job.get("TrainingEndTime", job["LastModifiedTime"]) + DAY,
        Period=3600,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((point["Maximum"] for point in points), default=None)


def _row(job: dict[str, Any], accuracy: float | None, now: datetime) -> tuple[str, ...]:
    began, ended = job.get("TrainingStartTime"), job.get("TrainingEndTime")
    status = job["TrainingJobStatus"]
    return (
        job["TrainingJobName"],
        coloured(job["SecondaryStatus"] if status == "InProgress" else status),
        f"{accuracy:.1%}" if accuracy is not None else "",
        ago(job["CreationTime"], now),
        duration(((ended or now) - began).total_seconds()) if began else "",
    )
