"""``jobs``, ``logs``, ``stop``: training jobs that are there already."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.table import Table

from darkroom.cli.connection import Connection, connect, message_of
from darkroom.cli.console import Failure, duration, out, unknown
from darkroom.cli.watching import ENDED, POLL_S, LogReader

COLOURS = {"Completed": "green", "InService": "green", "Failed": "red", "Stopped": "yellow"}
ACCURACY = "validation:accuracy"
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
        table.add_row(*_row(connection.sagemaker.describe_training_job(TrainingJobName=name), datetime.now(UTC)))
    out.print(table)


def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print the log of a training job."""
    connection = connect()
    reader = LogReader(connection, job)
    while True:
        ended = describe(connection, job)["TrainingJobStatus"] in ENDED
        for stamp, message in reader.read():
            print(f"{datetime.fromtimestamp(stamp / 1000):%H:%M:%S}  {message.replace('#011', chr(9))}", flush=True)
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
    return Table(*columns, box=None, header_style="bold", padding=(0, 2, 0, 0))


def coloured(status: str) -> str:
    colour = COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else status


def ago(moment: datetime, now: datetime) -> str:
    seconds = (now - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds < 24 * 3600 else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _row(job: dict[str, Any], now: datetime) -> tuple[str, ...]:
    metrics = {metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList", ())}
    began, ended = job.get("TrainingStartTime"), job.get("TrainingEndTime")
    status = job["TrainingJobStatus"]
    return (
        job["TrainingJobName"],
        coloured(job["SecondaryStatus"] if status == "InProgress" else status),
        f"{metrics[ACCURACY]:.1%}" if ACCURACY in metrics else "",
        ago(job["CreationTime"], now),
        duration(((ended or now) - began).total_seconds()) if began else "",
    )
