"""``compile``: the model of a training job becomes one that answers several times as fast, and its verdict is shown."""

import json
import platform
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from darkroom.cli.connection import Connection, connect, message_of
from darkroom.cli.console import Failure, duration, err, out, plain
from darkroom.cli.jobs import JobArgument, describe
from darkroom.cli.watching import LogReader

GROUP = "/aws/sagemaker/CompilationJobs"
ENDED = ("COMPLETED", "FAILED", "STOPPED")
POLL_S = 0.25
MAX_RUN_S = 3600
REPORT, PAGE = "compilation-report.json", "compilation-report.html"
DEFAULT_SHAPE = "3,224,224"  # the algorithm's own
DTYPES = ("int8", "bf16", "fp16", "fp32")
ARM = ("aarch64", "arm64")

Wait = Callable[[float], None]


def compile(
    job: JobArgument,
    dtype: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(DTYPES)}; by default the fastest that keeps accuracy.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="A TargetDevice, such as ml_c5; by default one like this machine.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Points of accuracy that int8 may cost; 0.1 by default.", min=0, max=100)
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Where the artifact goes; by default beside the job's model.", metavar="S3-URI")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the compilation job; by default JOB-TARGET.")] = None,
) -> None:
    """Compile the model of a training job: several times as fast, and no less accurate.

    Eight-bit numbers are chosen on the photos that the job trained on, and held against its validation photos.
    """
    if dtype is not None and dtype not in DTYPES:
        raise Failure(f"--dtype {dtype!r} is not offered; take one of: {', '.join(DTYPES)}", 2)
    if output is not None and not re.match(r"s3://[^/]+", output):
        raise Failure(f"--output {output!r} is no S3 URI, such as s3://BUCKET/FOLDER", 2)
    connection, began = connect(), time.monotonic()
    device = target or this_machine()
    chosen = name or default_name(job, device, dtype)
    options = {"dtype": dtype, "accuracy_tolerance": tolerance}
    start(connection, request(connection, describe(connection, job), chosen, device, options, output))
    err.print(f"[bold]Compiling[/] {job} for {device}, as {chosen}")
    say_outcome(connection, watch(connection, chosen), time.monotonic() - began)


def request(
    connection: Connection,
    job: Mapping[str, Any],
    name: str,
    device: str,
    options: Mapping[str, object],
    output: str | None,
) -> dict[str, Any]:
    """Of CreateCompilationJob. Raises Failure for a job without a model."""
    trained = job["TrainingJobName"]
    model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if not model:
        raise Failure(f"{trained} has no model to compile (it is {job['TrainingJobStatus']}): darkroom logs {trained}")
    shape = [1, *map(int, job.get("HyperParameters", {}).get("image_shape", DEFAULT_SHAPE).split(","))]
    given = {option: value for option, value in options.items() if value is not None}
    wanted: dict[str, Any] = {
        "S3OutputLocation": output or f"{model.rpartition('/')[0]}/{name}",
        "TargetDevice": device,
    }
    return {
        "CompilationJobName": name,
        "RoleArn": connection.role,
        "InputConfig": {"S3Uri": model, "DataInputConfig": json.dumps({"data": shape}), "Framework": "MXNET"},
        "OutputConfig": wanted | ({"CompilerOptions": json.dumps(given)} if given else {}),
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUN_S},
    }


def start(connection: Connection, wanted: Mapping[str, Any]) -> None:
    try:
        connection.sagemaker.create_compilation_job(**wanted)
    except ClientError as error:
        if "already exist" not in message_of(error):
            raise
        name = wanted["CompilationJobName"]
        raise Failure(f"there is a compilation job named {name} already; choose another: --name NAME", 2) from None


def watch(connection: Connection, name: str, wait: Wait = time.sleep) -> dict[str, Any]:
    """The job's last description. Its log is shown as it comes: a line that changes where there is a terminal."""
    reader = LogReader(connection, name, GROUP, tail="")
    with err.status("[bold]Starting[/]") as status:
        while True:
            described: dict[str, Any] = connection.sagemaker.describe_compilation_job(CompilationJobName=name)
            for message in reader.read():  # after the status: once that says it ended, every line is there
                if err.is_terminal:
                    status.update(f"[bold]Compiling[/] {plain(said(message))}")
                else:
                    err.print(f"  {said(message)}", markup=False)
            if described["CompilationJobStatus"] in ENDED:
                return described
            wait(POLL_S)


def say_outcome(connection: Connection, described: Mapping[str, Any], seconds: float) -> None:
    """Raises Failure for a job that did not complete."""
    name, status = described["CompilationJobName"], described["CompilationJobStatus"]
    if status != "COMPLETED":
        raise Failure(f"compiling {status.lower()}: {described.get('FailureReason') or 'no reason was given'}")
    artifact = described["ModelArtifacts"]["S3ModelArtifacts"]
    out.print(f"[bold green]Compiled[/] {name} in {duration(seconds)}")
    for title, text in verdict(_report(connection, artifact)):
        out.print(f"  {title:<8} {text}", markup=False)
    out.print(f"  model    {artifact}", markup=False)
    out.print(f"  report   {artifact.rpartition('/')[0]}/{PAGE}", markup=False)
    out.print(f"  next     darkroom deploy {name}", markup=False)


def verdict(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines of a compilation report: what it computes in, and what that did to accuracy."""
    kept = report.get("kept_in_float") or []
    own = report.get("computed_in", report["dtype"])
    computed = f", computed in {own} on this processor" if own != report["dtype"] else ""
    lines = [("type", f"{report['dtype']}{f', with {len(kept)} layers in fp32' if kept else ''}{computed}")]
    found = report.get("verdict")
    if found is None:
        return [*lines, ("accuracy", "not measured: no photos were at hand")]
    if found["accuracy"] is not None:
        before, after = found["accuracy_reference"], found["accuracy"]
        lines.append(("accuracy", f"{after:.2%}, and {before:.2%} before, on {found['photos']} photos"))
    lines.append(
        ("agrees", f"{found['agreement']:.1%} of answers are the same, logit error {found['logit_error']:.1%}")
    )
    return [*lines, ("verdict", found["reason"])]


def default_name(job: str, device: str, dtype: str | None) -> str:
    """``first-ml-c5``: at most 63 characters, the job's cut where it must be."""
    end = "-".join(filter(None, (device.replace("_", "-"), dtype)))
    return f"{job[: 62 - len(end)].rstrip('-')}-{end}"


def this_machine(machine: str = "") -> str:
    """A TargetDevice with this processor's instructions."""
    return "ml_c6g" if (machine or platform.machine()).lower() in ARM else "ml_c5"


def said(message: str) -> str:
    """Without the log's own prefix."""
    return re.sub(r"^\[[^]]*\]\s*", "", message).strip()


def _report(connection: Connection, artifact: str) -> Mapping[str, Any]:
    bucket, _, key = artifact.removeprefix("s3://").partition("/")
    body = connection.s3.get_object(Bucket=bucket, Key=f"{key.rpartition('/')[0]}/{REPORT}".lstrip("/"))["Body"]
    found: dict[str, Any] = json.loads(body.read())
    return found
