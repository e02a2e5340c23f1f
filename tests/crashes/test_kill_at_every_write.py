"""kill -9 of the server just before and just after every write of a story: it ends as if nothing had happened.

Every story is told to a server that dies at its first write, then to one that dies at its second, … until a server
lives to the end. What was accepted is not lost, what runs runs exactly once, what is told is true.
"""

import multiprocessing
import os
import signal
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from darkroom.objects.local import LocalStore
from tests.control.models import tiny_model
from tests.control.platform import BUCKET, ROLE, TEST_IMAGE, client, training_request
from tests.crashes.server import GIVEN, run

pytestmark = pytest.mark.slow

# A fork of a process that has imported everything and runs no threads: a fresh server in a moment.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.crashes.server"])
DEADLINE_S = 60
MOST_WRITES = 60
Story = Callable[["Server"], None]


@dataclass
class Server:
    """A server process over one home; a call that finds it dead starts it again, and is repeated."""

    home: Path
    process: Any = None
    port: int = 0
    died: int = 0
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        return self.home / "ledger"

    def ran(self, word: str) -> list[str]:
        """What the programs noted, line by line."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [line for line in lines if line.startswith(word)]

    def start(self, number: int = 0, moment: str = "") -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.clients = {}
        self.process = processes.Process(target=run, args=(self.home, self.port, number, moment))
        self.process.start()
        deadline = time.monotonic() + DEADLINE_S
        while not self.answers():
            assert time.monotonic() < deadline, self.log()
            if not self.process.is_alive():
                return  # it may die before it ever answers
            time.sleep(0.01)

    def answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self.process.kill()
        assert self.exit_code() == -signal.SIGKILL

    def end(self) -> None:
        self.process.terminate()
        if self.exit_code() == -signal.SIGKILL:  # the fatal write came last
            self.died += 1
            self.start()
            self.process.terminate()
        assert self.exit_code() in (0, -signal.SIGTERM), self.log()

    def exit_code(self) -> int:
        self.process.join(DEADLINE_S)
        assert self.process.exitcode is not None, self.log()
        return int(self.process.exitcode)

    def log(self) -> str:
        return (self.home / "server.log").read_text()

    def call(self, operation: str, service: str = "sagemaker", **params: Any) -> Any:
        while True:
            if service not in self.clients:
                self.clients[service] = client(f"http://127.0.0.1:{self.port}", service)
            try:
                return getattr(self.clients[service], operation)(**params)
            except (ConnectionError, HTTPClientError):
                self.revive()

    def revive(self) -> None:
        assert self.exit_code() == -signal.SIGKILL, self.log()
        self.died += 1
        self.start()

    def once(self, heard: str, operation: str, **params: Any) -> None:
        """A call whose answer may be lost with the server; said again, it is refused with ``heard``."""
        died = self.died
        try:
            self.call(operation, **params)
        except ClientError as error:
            if self.died == died or heard not in str(error):
                raise

    def until(self, holds: Callable[[Any], bool], operation: str, **params: Any) -> Any:
        deadline = time.monotonic() + DEADLINE_S
        while not holds(seen := self.call(operation, **params)):
            assert time.monotonic() < deadline, f"still {seen}\n{(self.home / 'server.log').read_text()}"
            time.sleep(0.01)
        return seen

    def ended(self, name: str) -> Any:
        job = self.until(
            lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
            "describe_training_job",
            TrainingJobName=name,
        )
        told = " ".join(t["Status"] for t in job["SecondaryStatusTransitions"])
        for attempt in told.split("Restarting"):
            assert len(set(attempt.split())) == len(attempt.split()), told
        return job

    def settled(self) -> None:
        """Every task is forgotten: nothing is left running or lying about."""
        deadline = time.monotonic() + DEADLINE_S
        while any((self.home / "tasks").iterdir()):
            assert time.monotonic() < deadline, list((self.home / "tasks").iterdir())
            if not self.process.is_alive():
                self.revive()
            time.sleep(0.01)


def weights(home: Path, job: str) -> bytes:
    """The model that a job left, read from the store that the ended server wrote."""
    objects = LocalStore(home / "objects")
    try:
        item = objects.get(BUCKET, f"models/{job}/output/model.tar.gz")
        with tarfile.open(fileobj=BytesIO(b"".join(objects.read(item)))) as archive:
            member = archive.extractfile("weights")
            assert member is not None
            return member.read()
    finally:
        objects.close()


def told_through(server: Server, story: Story, moment: str) -> Iterator[int]:
    """Tell the story to a server that dies at write 1, 2, … (a fresh home each), until one lives."""
    for number in range(1, MOST_WRITES):
        home = server.home / f"{moment}-{number}"
        home.mkdir()
        (home / "model.tar.gz").write_bytes(tiny_model())
        fresh = Server(home)
        fresh.start(number, moment)
        try:
            story(fresh)
            fresh.settled()
        finally:
            fresh.end()
        yield number
        if not fresh.died:
            return
    raise AssertionError(f"more than {MOST_WRITES} writes")


def train(server: Server) -> None:
    server.once(
        "already exists",
        "create_training_job",
        **training_request("job", Environment=environment(server, LESSON="cats")),
    )
    job = server.ended("job")
    assert job["TrainingJobStatus"] == "Completed", job
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert server.ran("train") == ["train"]
    assert {m["Value"] for m in job["FinalMetricDataList"]} == {0.75}


def stop(server: Server) -> None:
    server.once(
        "already exists",
        "create_training_job",
        **training_request("job", Environment=environment(server, UNTIL="/never")),
    )
    server.until(lambda job: job["SecondaryStatus"] == "Training", "describe_training_job", TrainingJobName="job")
    deadline = time.monotonic() + DEADLINE_S
    while not server.ran("train"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.once("is in status Stopped", "stop_training_job", TrainingJobName="job")
    assert server.ended("job")["TrainingJobStatus"] == "Stopped"
    assert server.ran("train") == ["train"]


def queue(server: Server) -> None:
    """Two jobs where one fits."""
    for name in ("one", "two"):
        server.once("already exists", "create_training_job", **training_request(name, Environment=environment(server)))
    assert [server.ended(name)["TrainingJobStatus"] for name in ("one", "two")] == ["Completed"] * 2
    assert server.ran("train") == ["train"] * 2


def interrupted(server: Server) -> None:
    """A job of two hosts, one of which is killed at its first attempt: both go on from what they had saved."""
    program = server.home / "interrupted.py"
    program.write_text(INTERRUPTED)
    server.once(
        "already exists",
        "create_training_job",
        **training_request(
            "job",
            AlgorithmSpecification={
                "TrainingImage": TEST_IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["{python}", str(program)],
            },
            ResourceConfig={"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/kept"},
            Environment=environment(server),
        ),
    )
    job = server.ended("job")
    assert job["TrainingJobStatus"] == "Completed", job
    assert sorted(server.ran("train")) == [f"train {host} {again}" for host in ("algo-1", "algo-2") for again in (0, 1)]


INTERRUPTED = """
import json, os, signal, time
from pathlib import Path
ml = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
host = json.loads((ml / "input/config/resourceconfig.json").read_text())["current_host"]
saved = ml / "checkpoints" / host
again = int(saved.exists())
saved.touch()
with open(os.environ["LEDGER"], "a") as ledger:
    ledger.write(f"train {host} {again}\\n")
if not again:
    if host == "algo-2":
        while "algo-1" not in Path(os.environ["LEDGER"]).read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
"""


def fail(server: Server) -> None:
    server.once(
        "already exists",
        "create_training_job",
        **training_request("job", Environment=environment(server, RAISE="no such cat")),
    )
    job = server.ended("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ValueError: no such cat")
    assert server.ran("train") == ["train"]


def serve(server: Server) -> None:
    for mark in ("blue", "green"):
        container = {"Image": TEST_IMAGE, "Environment": environment(server, MARK=mark)}
        server.once(
            "already existing", "create_model", ModelName=mark, PrimaryContainer=container, ExecutionRoleArn=ROLE
        )
        variant = {"VariantName": "v", "ModelName": mark, "InitialInstanceCount": 1, "InstanceType": "ml.c5.large"}
        server.once("already existing", "create_endpoint_config", EndpointConfigName=mark, ProductionVariants=[variant])
    server.once("already existing", "create_endpoint", EndpointName="e", EndpointConfigName="blue")
    in_service(server)
    server.once("Cannot update in-progress", "update_endpoint", EndpointName="e", EndpointConfigName="green")
    assert in_service(server)["EndpointConfigName"] == "green"
    server.once("Could not find endpoint", "delete_endpoint", EndpointName="e")


def compile_model(server: Server) -> None:
    server.once(
        "already exists",
        "create_compilation_job",
        CompilationJobName="c",
        RoleArn=ROLE,
        InputConfig={
            "S3Uri": f"s3://{BUCKET}/{GIVEN}",
            "DataInputConfig": '{"data": [1, 4]}',
            "Framework": "ONNX",
        },
        OutputConfig={"S3OutputLocation": f"s3://{BUCKET}/compiled", "TargetDevice": "ml_c5"},
        StoppingCondition={"MaxRuntimeInSeconds": 900},
    )
    job = server.until(
        lambda job: job["CompilationJobStatus"] in ("COMPLETED", "FAILED", "STOPPED"),
        "describe_compilation_job",
        CompilationJobName="c",
    )
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/compiled/model-ml_c5.tar.gz"
    assert len(job["ModelDigests"]["ArtifactDigest"]) == 64


def in_service(server: Server) -> Any:
    endpoint = server.until(
        lambda endpoint: endpoint["EndpointStatus"] not in ("Creating", "Updating"),
        "describe_endpoint",
        EndpointName="e",
    )
    assert endpoint["EndpointStatus"] == "InService", endpoint
    return endpoint


def environment(server: Server, **variables: str) -> dict[str, str]:
    return {"LEDGER": str(server.ledger), **variables}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "story", [train, stop, queue, interrupted, fail, serve, compile_model], ids=lambda story: story.__name__
)
def test_a_story_ends_the_same_whenever_the_server_is_killed(tmp_path: Path, story: Story, moment: str) -> None:
    told = 0
    for number in told_through(Server(tmp_path), story, moment):
        told = number
        if story is train:
            assert weights(tmp_path / f"{moment}-{number}", "job") == b"learned: cats"
    assert told > 5, "the server never died"


def test_workers_live_on_without_the_server_and_dead_ones_are_replaced(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    container = {"Image": TEST_IMAGE, "Environment": environment(server)}
    server.once("already existing", "create_model", ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 2, "InstanceType": "ml.c5.large"}
    server.once("already existing", "create_endpoint_config", EndpointConfigName="c", ProductionVariants=[variant])
    server.once("already existing", "create_endpoint", EndpointName="e", EndpointConfigName="c")
    in_service(server)
    first, second = sorted(int(line.split()[1]) for line in server.ran("serve"))
    server.kill()
    os.kill(first, signal.SIGKILL)
    server.start()
    server.until(
        lambda endpoint: (
            len(server.ran("serve")) == 3 and endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        ),
        "describe_endpoint",
        EndpointName="e",
    )
    assert in_service(server)
    os.kill(second, 0)  # the other one was adopted, not started again
    server.call("delete_endpoint", EndpointName="e")
    server.settled()
    server.end()
