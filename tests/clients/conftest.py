"""One server and one small set of photos for the flows: programs that run in the environment of a real client."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from darkroom.formats import folders
from darkroom.testing.live_server import LiveServer, live_server
from tests.clients.environments import python_of
from tests.stories import photos

FLOWS = Path(__file__).with_name("flows")
MXNET_SCRIPTS = Path(__file__).with_name("mxnet_scripts")
CLASSES, PER_CLASS = ("car", "leopard"), 10
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-darkroom"
SMALL = {
    "num_layers": "20",
    "image_shape": "3,28,28",
    "num_classes": "2",
    "num_training_samples": "16",
    "mini_batch_size": "8",
    "epochs": "2",
}
Flow = Callable[..., "Answers"]


@dataclass(frozen=True)
class Step:
    """What one step of a flow gave: its value or its error, and what it printed."""

    found: Mapping[str, Any]

    @property
    def value(self) -> Any:
        assert "error" not in self.found, self.found["trace"]
        return self.found["value"]

    @property
    def error(self) -> str:
        """``Type: text`` of the exception, as a notebook shows it."""
        assert "error" in self.found, f"nothing was raised; the answer was {self.found['value']!r}"
        return f"{self.found['error_type']}: {self.found['error']}"

    @property
    def printed(self) -> str:
        return str(self.found["printed"])


@dataclass(frozen=True)
class Answers:
    steps: Mapping[str, Mapping[str, Any]]
    output: str

    def __getitem__(self, name: str) -> Step:
        assert name in self.steps, f"the flow ended before {name}:\n{self.output[-3000:]}"
        return Step(self.steps[name])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("home"), DARKROOM_MAX_TRAINING_JOBS="1") as running:
        yield running


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.rec (16 photos), validation.rec (4), the same as ``classes``, and test.jpg, which is in none of them."""
    folder = tmp_path_factory.mktemp("data")
    for name in CLASSES:
        (folder / "classes" / name).mkdir(parents=True)
        for photo in sorted((photos.PHOTOS / name).iterdir())[:PER_CLASS]:
            shutil.copy(photo, folder / "classes" / name)
    train, validation = folders.split(folders.scan(folder / "classes"), validation=0.2, seed=1)
    folders.pack(train, folder / "train.rec")
    folders.pack(validation, folder / "validation.rec")
    shutil.copy(photos.unseen(CLASSES[0]), folder / "test.jpg")
    return folder


@pytest.fixture(scope="session")
def flow(server: LiveServer, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """``flow(program, environment, sdk)``: runs flows/<program>.py in the variables of ``darkroom env``, unpatched."""

    def run(program: str, environment: str, sdk: int | None = None, *arguments: str) -> Answers:
        folder = tmp_path_factory.mktemp(program)
        answers = folder / "answers.json"
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON", "DARKROOM_"))}
        environ |= server.environment(sdk) | {"PYTHONWARNINGS": "ignore"}
        command = [python_of(environment), FLOWS / f"{program}.py", answers, data, *arguments]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True)
        steps = json.loads(answers.read_text()) if answers.exists() else {}
        return Answers(steps, done.stdout + done.stderr)

    return run


@pytest.fixture(scope="session")
def boto(server: LiveServer) -> Callable[[str], Any]:
    """``boto("sagemaker")`` and so on: a client of the boto3 the tests run in."""
    variables = server.environment()
    session = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    return lambda name: session.client(name, endpoint_url=variables["AWS_ENDPOINT_URL"])


@pytest.fixture(scope="session")
def artifact(boto: Callable[[str], Any], data: Path) -> str:
    """Where the model.tar.gz of the job ``shared`` is."""
    s3, sagemaker = boto("s3"), boto("sagemaker")
    s3.create_bucket(Bucket="shared")
    channels = []
    for name in ("train", "validation"):
        s3.upload_file(str(data / f"{name}.rec"), "shared", f"{name}/{name}.rec")
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://shared/{name}/"}
        channels.append({"ChannelName": name, "DataSource": {"S3DataSource": source}})
    sagemaker.create_training_job(
        TrainingJobName="shared",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        InputDataConfig=channels,
        OutputDataConfig={"S3OutputPath": "s3://shared/output"},
        ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        HyperParameters=SMALL,
    )
    patience = {"Delay": 1, "MaxAttempts": 120}
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="shared", WaiterConfig=patience)
    return str(sagemaker.describe_training_job(TrainingJobName="shared")["ModelArtifacts"]["S3ModelArtifacts"])


@pytest.fixture
def mxnet(tmp_path) -> Callable[..., None]:
    """Runs a script of ``mxnet_scripts`` in MXNet's own environment, with the test's folder and more words."""

    def run(script: str, *arguments: object) -> None:
        command = [python_of("mxnet"), MXNET_SCRIPTS / f"{script}.py", tmp_path, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MXNET_SUBGRAPH_VERBOSE": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]

    return run
