"""The real platform around Control, for tests: the real store, executor, logs and wire, and one small test image.

The image is offered through Control's own table argument; ``program.py`` is what runs in it.
"""

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from darkroom.contract import images
from darkroom.contract.images import Image
from darkroom.contract.metrics import IMAGE_CLASSIFICATION
from darkroom.control.plane import Control
from darkroom.control.routes import Routes
from darkroom.control.store.queries import Store
from darkroom.executors.local import LocalExecutor
from darkroom.objects.local import LocalStore
from darkroom.services import runtime
from darkroom.services.sagemaker.service import service as sagemaker_service
from darkroom.settings import Settings
from darkroom.telemetry.invocations import InvocationMeter
from darkroom.telemetry.logs import LogStore
from darkroom.telemetry.metrics import MetricStore
from darkroom.wire.front import Front
from darkroom.wire.listener import SERVER
from darkroom.wire.sigv4 import Verifier

KEY, SECRET = "AKIATESTTESTTESTTEST", "secret"
ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-test"
TEST_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/test-program:1"
PROGRAM = str(Path(__file__).with_name("program.py"))
TEST_IMAGES = {
    "test-program": Image(
        "test-program",
        "builtin",
        train=("{python}", PROGRAM, "train"),
        serve=("{python}", PROGRAM, "serve"),
        metrics=IMAGE_CLASSIFICATION[2:3],
    )
}
BUCKET = "photos"


def image_of(uri: str) -> Image:
    return TEST_IMAGES.get(images.repository_of(uri)) or images.image_of(uri)


def utc_now() -> datetime:
    return datetime.now(UTC)


class NoMetrics(MetricStore):
    def __init__(self) -> None:
        self.added: list[Any] = []

    def add(self, data: Any) -> None:
        self.added.extend(data)


class Platform:
    """One server's parts over a home folder; ``close`` leaves tasks running, as a server's end does."""

    def __init__(self, home: Path, store_of: Callable[[Path, datetime], Store] = Store, **settings: Any) -> None:
        self.settings = Settings(home=home, **{"max_training_jobs": 2, "stop_grace_s": 5.0} | settings)
        home.mkdir(exist_ok=True, parents=True)
        self.objects = LocalStore(home / "objects")
        self.logs = LogStore(home / "logs")
        self.metrics = NoMetrics()
        self.routes = Routes()
        self.executor = LocalExecutor(home, self.objects, self.logs)
        self.store = store_of(home / "control.sqlite", utc_now())
        self.control = Control(
            self.store,
            self.executor,
            self.objects,
            self.logs,
            self.metrics,
            self.routes,
            self.settings,
            utc_now,
            image_of=image_of,
        )
        self.control.start()

    def front(self) -> Front:
        draws = itertools.cycle((0.25, 0.75))
        part = runtime.Runtime(
            self.routes, InvocationMeter(self.metrics), lambda: next(draws), self.settings.account, 2**20
        )
        services = {"sagemaker": sagemaker_service(self.control), "sagemaker-runtime": runtime.service(part)}
        return Front(services, Verifier({KEY: SECRET}.get))

    def close(self) -> None:
        self.control.close()
        self.executor.close()
        self.objects.close()

    def put(self, key: str, content: bytes = b"data", bucket: str = BUCKET) -> None:
        if bucket not in [b.name for b in self.objects.buckets()]:
            self.objects.create_bucket(bucket)
        writer = self.objects.writer()
        writer.write(content)
        self.objects.put(bucket, key, writer.commit(), {})


@contextmanager
def serving(platform: Platform) -> Iterator[str]:
    """The platform's address while the block runs."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(platform.front(), **SERVER))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def client(url: str, name: str = "sagemaker", attempts: int = 1) -> Any:
    return boto3.client(
        name,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": attempts}),
    )


def training_request(name: str = "job", **changes: Any) -> dict[str, Any]:
    """A CreateTrainingJob request of the test image with one channel."""
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": TEST_IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel("train", f"s3://{BUCKET}/train/")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.c5.xlarge", "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"epochs": "2"},
    } | changes


def channel(name: str, url: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": url, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}} | changes
