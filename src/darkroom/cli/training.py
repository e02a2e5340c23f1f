"""``train``: a folder of class folders becomes a training job, packed, uploaded, started and watched."""

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hyperparameters import Hyperparameters, parse
from darkroom.cli import recipes
from darkroom.cli.connection import Connection, connect, message_of
from darkroom.cli.console import Failure, duration, err, out
from darkroom.cli.job_log import Progress
from darkroom.cli.packing import list_all, pack_all, upload_all
from darkroom.cli.watching import watch
from darkroom.formats import folders
from darkroom.networks.architecture import PREACT_RESNET, RESNET

CONTENT_TYPE = "application/x-recordio"
SEED = 0
MAX_RUN_S = 5 * 24 * 3600
INSTANCE_TYPE = "ml.p3.2xlarge"  # a name only: the job gets what this machine has
ECR_ACCOUNT = "811284229777"  # where us-east-1 keeps the algorithm; only the repository's name counts here
MIN_PER_CLASS = 2
JOB_NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
LAYOUT = """\
one folder for each class, named after it, with its photos inside:
  {folder}/
    cat/   one.jpg  two.jpg  …
    dog/   three.jpg  four.png  …"""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is packed."""

    name: str
    folder: Path
    classes: tuple[str, ...]
    train: tuple[folders.Sample, ...]
    validation: tuple[folders.Sample, ...]


def train(
    folder: Annotated[Path, typer.Argument(help="Holds one folder of photos for each class.", metavar="FOLDER")],
    name: Annotated[str | None, typer.Option(help="Name of the job; by default the folder's, and the time.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the photos that accuracy is measured on.")] = 0.2,
    epochs: Annotated[int | None, typer.Option(help="How often every photo is seen.", min=1)] = None,
    num_layers: Annotated[int | None, typer.Option("--depth", "--num-layers", help="Depth of the ResNet.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the square the network sees.", min=16)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Photos in one step.", min=1)] = None,
    hyperparameter: Annotated[
        list[str] | None, typer.Option("--hyperparameter", "-p", help="Any other one.", metavar="NAME=VALUE")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the job and do not watch it.")] = False,
) -> None:
    """Learn from a folder of class folders: split, pack, upload, train with good defaults, and show how it goes."""
    given = pairs(hyperparameter or [])
    plan = planned(folder, name, validation, datetime.now(UTC))
    connection = connect()
    values = submit(
        connection,
        plan,
        {"epochs": epochs, "num_layers": num_layers, "image_size": image_size, "batch_size": batch_size},
        given,
    )
    err.print(f"[bold]Training[/] {plan.name}: " + summary(values))
    if detach:
        out.print(f"Watch it with: darkroom logs {plan.name} --follow")
        return
    began = time.monotonic()
    with _interrupt_leaves_the_job(plan.name):
        described, progress = watch(connection, plan.name)
    say_outcome(described, progress, time.monotonic() - began)


def planned(folder: Path, name: str | None, validation: float, now: datetime) -> Plan:
    """Raises Failure for a folder that cannot be learned from; it shows the layout that can."""
    if not 0 < validation < 1:
        raise Failure(f"--validation {validation:g} is not a share; choose one above 0 and below 1, such as 0.2", 2)
    if name is not None and not re.fullmatch(JOB_NAME, name):
        raise Failure(
            f"{name!r} cannot name a job; take letters, digits and single hyphens between them, 63 at most", 2
        )
    try:
        found = folders.scan(folder)
    except folders.FolderError as error:
        raise Failure(f"{error}\n{LAYOUT.format(folder=folder)}", 2) from None
    if len(found.classes) < 2:
        only = found.classes[0]
        raise Failure(
            f"{folder} has one class only ({only}); two are needed to tell apart\n{LAYOUT.format(folder=folder)}", 2
        )
    for label, title in enumerate(found.classes):
        if not _is_text(title):
            raise Failure(f"rename the folder {title!r}: its name is not UTF-8, and a class is called as its folder", 2)
        if (count := sum(sample.label == label for sample in found.samples)) < MIN_PER_CLASS:
            raise Failure(f"class {title!r} has {count} photo; each needs {MIN_PER_CLASS} at least, better dozens", 2)
    train, held_out = folders.split(found, validation, SEED)
    return Plan(name or default_name(folder, now), folder, found.classes, train, held_out)


def submit(
    connection: Connection, plan: Plan, chosen: Mapping[str, int | None], given: Mapping[str, str]
) -> dict[str, str]:
    """Pack, upload, create the job. Its hyperparameters. Raises Failure for wrong ones before anything is packed."""
    parsed = _checked(recipes.hyperparameters(len(plan.train), len(plan.classes), chosen, given))
    refuse_taken_name(connection, plan.name)
    err.print(
        f"[bold]{len(plan.classes)} classes[/], {len(plan.train) + len(plan.validation):,} photos: "
        f"{len(plan.train):,} to learn from, {len(plan.validation):,} to measure accuracy on"
    )
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        channels = {"train": plan.train, "validation": plan.validation}
        files = {name: Path(scratch, name, f"{name}.rec") for name in channels}
        counts = pack_all(channels, files, recipes.packed_side(max(parsed.shape[1:])))
        list_all(channels, files, plan.folder)
        # Beside the photos rather than in the job's Environment, whose values end at 512 characters.
        (files["train"].parent / "classes.txt").write_text(_lines(plan.classes), encoding="utf-8")
        bucket = connection.make_bucket()
        upload_all(connection, files.values(), bucket, plan.name)
    values = recipes.hyperparameters(counts["train"], len(plan.classes), chosen, given)
    connection.sagemaker.create_training_job(**request(connection, plan.name, bucket, values))
    return values


def refuse_taken_name(connection: Connection, name: str) -> None:
    """Before anything is uploaded: the photos of the job of that name lie where ours would go."""
    try:
        connection.sagemaker.describe_training_job(TrainingJobName=name)
    except ClientError as error:
        if "not found" in message_of(error).lower():
            return
        raise
    raise Failure(f"there is a training job named {name} already; choose another name: --name NAME", 2)


def _checked(values: Mapping[str, str]) -> Hyperparameters:
    try:
        return parse(values)
    except CustomerError as error:
        raise Failure(str(error), 2) from None


def request(connection: Connection, name: str, bucket: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Of CreateTrainingJob, as an SDK would send it. Input and output of a job both lie below its name."""
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": f"{ECR_ACCOUNT}.dkr.ecr.{connection.region}.amazonaws.com/image-classification:1",
            "TrainingInputMode": "File",
        },
        "RoleArn": connection.role,
        "HyperParameters": dict(values),
        "InputDataConfig": [_channel(channel, f"s3://{bucket}/{name}") for channel in ("train", "validation")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": INSTANCE_TYPE, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUN_S},
        "Environment": {"DARKROOM_SPEEDOMETER": str(recipes.speedometer(values))},
    }


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping. Raises Failure for one without an equals sign."""
    for text in texts:
        if not re.match(r"[A-Za-z_]\w*=", text):
            raise Failure(f"--hyperparameter {text!r} is not NAME=VALUE, such as learning_rate=0.01", 2)
    return dict(text.split("=", 1) for text in texts)


def default_name(folder: Path, now: datetime) -> str:
    """The folder's name in the letters that a job's name may have, and the time: photos-20261120-235959."""
    title = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-")[:40].rstrip("-") or "photos"
    return f"{title}-{now:%Y%m%d-%H%M%S}"


def summary(values: Mapping[str, str]) -> str:
    pixels = " x ".join(values["image_shape"].split(",")[1:])
    return (
        f"{_title(values)}, {pixels} pixels, {values['epochs']} epochs, "
        f"{values['num_training_samples']} photos, {values['mini_batch_size']} at a time"
    )


def _title(values: Mapping[str, str]) -> str:
    """The network; where none is named and weights are started from, the server chooses between two of that depth."""
    network = values.get("network", "")
    return network if network not in ("", RESNET, PREACT_RESNET) else f"ResNet-{values['num_layers']}"


def say_outcome(described: Mapping[str, Any], progress: Progress, seconds: float) -> None:
    """The last lines of a job that was watched. Raises Failure for one that failed."""
    name, status = described["TrainingJobName"], described["TrainingJobStatus"]
    if status == "Failed":
        raise Failure(
            f"training failed: {described.get('FailureReason') or 'no reason was given'}\nits log: darkroom logs {name}"
        )
    verb = "Trained" if status == "Completed" else "Stopped"
    accuracy = progress.best_accuracy if progress.best_accuracy is not None else progress.validation_accuracy
    reached = f": accuracy [bold]{accuracy:.1%}[/]" if accuracy is not None else ""
    out.print(f"[bold green]{verb}[/] {name} in {duration(seconds)}{reached}")
    if model := described.get("ModelArtifacts", {}).get("S3ModelArtifacts"):
        out.print(f"  model  {model}", markup=False)
        out.print(f"  report darkroom report {name}", markup=False)
        out.print(f"  next   darkroom deploy {name}", markup=False)


@contextmanager
def _interrupt_leaves_the_job(name: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"\n{name} goes on by itself; watch it: darkroom logs {name} -f; stop it: darkroom stop {name}")
        raise typer.Exit(130) from None


def _channel(name: str, prefix: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{prefix}/{name}/", "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "ContentType": CONTENT_TYPE, "DataSource": {"S3DataSource": source}}


def _is_text(name: str) -> bool:
    """False of the name of a file whose bytes are no UTF-8: Python has halves of letters in their place."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _lines(names: Sequence[str]) -> str:
    return "".join(f"{' '.join(name.splitlines())}\n" for name in names)
