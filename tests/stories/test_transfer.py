"""Transfer learning and incremental training through a live server, with plain boto3."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkroom.networks.architecture import SQUEEZENET
from darkroom.testing.live_server import LiveServer, live_server
from tests.networks.published import publish
from tests.stories.test_boto3 import BUCKET, channel, channels, client, job  # noqa: F401  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL = {
    "num_classes": 3,
    "num_layers": 20,
    "image_shape": "3,32,32",
    "mini_batch_size": 16,
    "learning_rate": 0.05,
    "augmentation_type": "crop",
    "resize": 36,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One whose folder of weights holds nothing but a SqueezeNet."""
    weights = tmp_path_factory.mktemp("weights")
    publish(weights / "mine.safetensors", SQUEEZENET)
    with live_server(tmp_path_factory.mktemp("home"), DARKROOM_WEIGHTS=str(weights)) as running:
        yield running


Train = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def train(client: Any, channels: list[dict[str, Any]]) -> Train:  # noqa: F811
    """``train(name, **hyperparameters)``: the job as it ended, and its log."""

    def run(name: str, model: str | None = None, **hyperparameters: object) -> tuple[dict[str, Any], str]:
        given = [*channels, incremental(model)] if model else channels
        sagemaker = client("sagemaker")
        sagemaker.create_training_job(**job(name, given, **(SMALL | hyperparameters)))
        deadline = time.monotonic() + 300
        while (described := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == "InProgress":
            assert time.monotonic() < deadline, described
            time.sleep(0.2)
        return described, log_of(client("logs"), name)

    return run


def incremental(uri: str) -> dict[str, Any]:
    """The channel as the SDK's ``model_uri`` makes it."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "ChannelName": "model",
        "ContentType": "application/x-sagemaker-model",
        "InputMode": "File",
        "DataSource": {"S3DataSource": source},
    }


def log_of(logs: Any, name: str) -> str:
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True)
    return "\n".join(event["message"] for event in events["events"])


def accuracies(log: str) -> list[float]:
    return [float(value) for value in re.findall(r"Validation-accuracy=([\d.]+)", log)]


def test_training_goes_on_from_an_earlier_model(train: Train) -> None:
    first, log = train("first", epochs=8)
    assert first["TrainingJobStatus"] == "Completed", log
    second, more = train("second", model=first["ModelArtifacts"]["S3ModelArtifacts"], epochs=1, learning_rate=0.001)
    assert second["TrainingJobStatus"] == "Completed", more
    assert "Using the model from the model channel for initializing weights (incremental training)." in more
    assert accuracies(more)[0] >= max(accuracies(log)) - 0.1
    assert accuracies(more)[0] > 0.6
    assert accuracies(more)[0] > accuracies(log)[0]

    other, _ = train("other", model=first["ModelArtifacts"]["S3ModelArtifacts"], epochs=1, num_layers=32)
    assert other["TrainingJobStatus"] == "Failed"
    assert other["FailureReason"].startswith(
        "ClientError: The model in the model channel has num_layers 20, but the hyperparameter num_layers is 32"
    )


def test_weights_of_the_servers_folder_are_started_from(train: Train, server: LiveServer) -> None:
    described, log = train("transfer", use_pretrained_model=1, network="squeezenet1_1", epochs=1, learning_rate=0.001)
    assert described["TrainingJobStatus"] == "Completed", log
    assert "Using pretrained model for initializing weights and transfer learning." in log
    assert "Weights: mine (SqueezeNet 1.1); the last layer starts anew." in log


def test_missing_weights_fail_the_job_with_the_command(train: Train, server: LiveServer) -> None:
    described, _ = train("lacking", use_pretrained_model=1, num_layers=18, epochs=1)
    assert described["TrainingJobStatus"] == "Failed"
    assert "Fetch them with: darkroom weights pull resnet18" in described["FailureReason"]
    assert str(Path(server.variables["DARKROOM_WEIGHTS"])) in described["FailureReason"]
