"""Server and launchers killed at any moment, under puts and jobs at once: what was acknowledged is there, whole."""

import hashlib
import os
import random
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from darkroom.executors import records
from darkroom.testing.executor_bench import until
from darkroom.testing.live_server import LiveServer
from tests.control.platform import ROLE

ROUNDS = 6
BUCKET = "photos"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
PROGRAM = 'for i in 1 2 3 4 5 6 7 8; do echo "line $i"; sleep 0.05; done; echo learned > $SM_MODEL_DIR/weights'
LINES = [f"line {number}" for number in range(1, 9)]
ENDED = ("Completed", "Failed", "Stopped")


def client(server: LiveServer, service: str) -> Any:
    environ = server.environment()
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=20),
    )


class Load:
    """Clients that go on until told to stop, and what they were told was kept."""

    def __init__(self, server: LiveServer) -> None:
        self.server, self.stopped = server, threading.Event()
        self.puts: dict[str, set[str]] = {}  # key → digests that may be there: acknowledged, or sent since
        self.jobs: list[str] = []
        self.threads = [threading.Thread(target=self.put, args=(n,)) for n in range(2)]
        self.threads.append(threading.Thread(target=self.train))

    def put(self, seed: int) -> None:
        s3, chance = client(self.server, "s3"), random.Random(seed)
        while not self.stopped.wait(0.01):
            key, body = f"{seed}/{chance.randrange(30)}", chance.randbytes(chance.choice([10, 5_000, 300_000]))
            digest = hashlib.sha256(body).hexdigest()
            if key in self.puts:
                self.puts[key].add(digest)
            with suppress(ClientError, BotoCoreError):
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
                self.puts[key] = {digest}
        s3.close()

    def train(self) -> None:
        sagemaker, number = client(self.server, "sagemaker"), 0
        while not self.stopped.wait(0.4):
            number += 1
            with suppress(ClientError, BotoCoreError):
                sagemaker.create_training_job(**request(f"job-{number}"))
                self.jobs.append(f"job-{number}")
        sagemaker.close()


def request(name: str) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train/"}}
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["bash", "-c", PROGRAM],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [
            {"ChannelName": "train", "ContentType": "application/x-image", "DataSource": source},
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def kill_a_launcher(home: Path) -> None:
    for folder in sorted((home / "tasks/tasks").iterdir()):
        if (launched := records.read(folder, records.LAUNCHED)) and not (folder / records.EXITED).exists():
            with suppress(ProcessLookupError):
                os.kill(launched["pid"], signal.SIGKILL)
            return


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_what_was_acknowledged_survives_kills_at_any_moment(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    server = LiveServer(tmp_path / "home", {"DARKROOM_MAX_TRAINING_JOBS": "3"}).start()
    s3, sagemaker, logs = (client(server, service) for service in ("s3", "sagemaker", "logs"))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="train/a.jpg", Body=b"x")
    load = Load(server)
    for thread in load.threads:
        thread.start()
    for number in range(ROUNDS):
        threading.Event().wait(chance.uniform(0.3, 1.2))
        if number % 3 == 2:
            kill_a_launcher(server.home)
        server.kill()
        server.start()
    load.stopped.set()
    for thread in load.threads:
        thread.join()

    for key, digests in load.puts.items():
        assert hashlib.sha256(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest() in digests

    def ended(job: str) -> Any:
        found = sagemaker.describe_training_job(TrainingJobName=job)
        return found if found["TrainingJobStatus"] in ENDED else None

    assert load.jobs
    for job in load.jobs:
        described = until(lambda job=job: ended(job))
        if described["TrainingJobStatus"] == "Completed":
            s3.head_object(Bucket=BUCKET, Key=f"out/{job}/output/model.tar.gz")
            group = "/aws/sagemaker/TrainingJobs"
            (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
            name = stream["logStreamName"]
            events = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)["events"]
            assert [event["message"] for event in events] == LINES
        else:  # its launcher was killed, and that is said
            assert "is gone and left no exit record" in described["FailureReason"]
    server.stop()
    for each in (s3, sagemaker, logs):
        each.close()
