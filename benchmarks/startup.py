"""How long until something happens: the server's first answer, a job's first line; what the idle server weighs."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from benchmarks.rows import Row, compare
from darkroom.testing.live_server import LiveServer, free_port

ROUNDS = 7
ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=1)  # the measuring loop retries by itself
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"


def server() -> list[Row]:
    """Start to first answered (signed) request, and resident memory two seconds later, against moto_server."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    memory: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(ROUNDS):
        for side, start in (("ours", _start_darkroom), ("peer", _start_moto)):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                process, ask = start(Path(folder))
                _until(ask)
                times[side].append(time.perf_counter() - began)
                time.sleep(2)
                memory[side].append(_resident_mib(process.pid))
                process.terminate()
                process.wait()
    return [
        compare("server-start", times["ours"], times["peer"], peer_name="moto_server", unit="s", more_is_better=False),
        compare(
            "idle-memory", memory["ours"], memory["peer"], peer_name="moto_server", unit="MiB", more_is_better=False
        ),
    ]


def job() -> list[Row]:
    """CreateTrainingJob accepted → first line of the algorithm's log, against the algorithm's command run by hand."""
    ours, peer = [], []
    with tempfile.TemporaryDirectory() as folder:
        live = LiveServer(Path(folder)).start()
        client = _clients(live)
        s3, sagemaker, logs = client("s3"), client("sagemaker"), client("logs")
        s3.create_bucket(Bucket="bench")
        s3.put_object(Bucket="bench", Key="train/a.rec", Body=b"not a record file")
        for index in range(ROUNDS):
            name = f"start-{index}"
            sagemaker.create_training_job(**_training(name))
            began = time.perf_counter()
            _until(lambda name=name: _first_line(logs, name), pause_s=0.005)
            ours.append(time.perf_counter() - began)
            _until(
                lambda name=name: sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Failed"
            )
            peer.append(_by_hand())
        live.stop()
    return [compare("job-start", ours, peer, peer_name="the same command by hand", unit="s", more_is_better=False)]


def _start_darkroom(folder: Path) -> tuple[psutil.Process, Callable[[], Any]]:
    live = LiveServer(folder)
    environ_client = _clients(live)("sts")
    process = subprocess.Popen(
        [sys.executable, "-m", "darkroom.app"],
        env={"PATH": "/usr/bin:/bin", "DARKROOM_HOME": str(folder), "DARKROOM_PORT": str(live.port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return psutil.Process(process.pid), environ_client.get_caller_identity


def _start_moto(folder: Path) -> tuple[psutil.Process, Callable[[], Any]]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("sts", endpoint_url=f"http://127.0.0.1:{port}", config=ONCE, **keys)
    return psutil.Process(process.pid), client.get_caller_identity


def _clients(live: LiveServer) -> Callable[[str], Any]:
    variables = live.environment()
    session = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return lambda name: session.client(name, endpoint_url=live.url, config=ONCE)


def _until(ask: Callable[[], Any], pause_s: float = 0.01, deadline_s: float = 60) -> None:
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            if ask():
                return
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause_s)


def _first_line(logs: Any, name: str) -> bool:
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    return bool(
        streams and logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]
    )


def _by_hand() -> float:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "darkroom.algorithm", "train"],
            env={"SAGEMAKER_BASE_DIR": folder, "PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        process.stdout.readline()
        taken = time.perf_counter() - began
        process.communicate()
    return taken


def _training(name: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bench/train/"}
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::000000000000:role/darkroom",
        "InputDataConfig": [
            {"ChannelName": c, "ContentType": "application/x-recordio", "DataSource": {"S3DataSource": source}}
            for c in ("train", "validation")
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bench/output"},
        "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "HyperParameters": {"num_classes": "2", "num_training_samples": "2"},
    }


def _resident_mib(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20
