"""What ``deploy`` and ``bench`` can put behind an endpoint: the model of a training job, or of a compilation job."""

from dataclasses import dataclass

from botocore.exceptions import ClientError

from darkroom.cli.connection import Connection, message_of
from darkroom.cli.console import Failure, unknown

NEO_ACCOUNT = "785573368785"  # only the repository's name counts here
NEO_IMAGE = "image-classification-neo:latest"


@dataclass(frozen=True)
class Servable:
    """``model_data``: s3:// URI of the archive."""

    name: str
    image: str
    model_data: str


def servable(connection: Connection, name: str) -> Servable:
    """Raises Failure for a job without a model, and for an unknown name, with the ones that look like it."""
    found = _trained(connection, name) or _compiled(connection, name)
    if found is None:
        raise unknown("training or compilation job", name, _names(connection))
    return found


def _trained(connection: Connection, name: str) -> Servable | None:
    try:
        job = connection.sagemaker.describe_training_job(TrainingJobName=name)
    except ClientError as error:
        _raise_unless_absent(error)
        return None
    model_data = job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if not model_data:
        raise Failure(f"{name} has no model to serve (it is {job['TrainingJobStatus']}); see: darkroom logs {name}")
    return Servable(name, job["AlgorithmSpecification"]["TrainingImage"], model_data)


def _compiled(connection: Connection, name: str) -> Servable | None:
    try:
        job = connection.sagemaker.describe_compilation_job(CompilationJobName=name)
    except ClientError as error:
        _raise_unless_absent(error)
        return None
    if job["CompilationJobStatus"] != "COMPLETED":
        reason = f": {job['FailureReason']}" if job.get("FailureReason") else ""
        raise Failure(f"{name} has no model to serve (it is {job['CompilationJobStatus']}{reason})")
    image = f"{NEO_ACCOUNT}.dkr.ecr.{connection.region}.amazonaws.com/{NEO_IMAGE}"
    return Servable(name, image, job["ModelArtifacts"]["S3ModelArtifacts"])


def _raise_unless_absent(error: ClientError) -> None:
    said = message_of(error).lower()
    if "not found" not in said and "could not find" not in said and "does not exist" not in said:
        raise error


def _names(connection: Connection) -> list[str]:
    trained = connection.list_all("list_training_jobs", "TrainingJobSummaries", 200)
    compiled = connection.list_all("list_compilation_jobs", "CompilationJobSummaries", 200)
    return [job["TrainingJobName"] for job in trained] + [job["CompilationJobName"] for job in compiled]
