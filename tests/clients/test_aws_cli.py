"""The aws command line beyond one upload: links, policies, syncing, logs, metrics, waiting and predicting."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from darkroom.testing.live_server import LiveServer
from tests.clients.conftest import IMAGE, ROLE

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(300)]
AWS = Path(sys.executable).with_name("aws")
JOBS = "/aws/sagemaker/TrainingJobs"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def attempt(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | server.environment()
    folder = tmp_path_factory.mktemp("aws")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([AWS, *arguments], env=environ, cwd=folder, capture_output=True, text=True)

    return run


@pytest.fixture(scope="module")
def aws(attempt: Command) -> Callable[..., Any]:
    """The command's answer: read, where it is JSON."""

    def run(*arguments: str | Path) -> Any:
        done = attempt(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def photo(aws: Callable[..., Any], data: Path) -> Path:
    """It is s3://by-hand/photos/test.jpg as well."""
    aws("s3", "mb", "s3://by-hand")
    aws("s3", "cp", data / "test.jpg", "s3://by-hand/photos/test.jpg", "--quiet")
    return data / "test.jpg"


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_presigned_link_opens_in_a_browser(aws: Callable[..., Any], photo: Path) -> None:
    url = aws("s3", "presign", "s3://by-hand/photos/test.jpg", "--expires-in", "60")
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.read() == photo.read_bytes()
    assert status(url.replace("test.jpg", "other.jpg")) == 403


def test_a_policy_makes_a_folder_public_and_private_again(
    aws: Callable[..., Any], attempt: Command, photo: Path, server: LiveServer
) -> None:
    url, bucket = f"{server.url}/by-hand/photos/test.jpg", ("--bucket", "by-hand")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::by-hand/photos/*"}
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    assert status(url) == 403
    aws("s3api", "put-bucket-policy", *bucket, "--policy", json.dumps(policy))
    assert json.loads(aws("s3api", "get-bucket-policy", *bucket)["Policy"]) == policy
    assert status(url) == 200
    aws("s3api", "delete-bucket-policy", *bucket)
    assert status(url) == 403
    assert "NoSuchBucketPolicy" in attempt("s3api", "get-bucket-policy", *bucket).stderr


def test_sync_follows_a_folder_in_both_directions(
    aws: Callable[..., Any], photo: Path, data: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", "s3://by-hand/synced"
    shutil.copytree(data / "classes", here)
    aws("s3", "sync", here, there, "--quiet")
    gone = sorted((here / "car").iterdir())[0]
    gone.unlink()
    (here / "new and ü.txt").write_text("new")
    done = aws("s3", "sync", here, there, "--delete", "--no-progress").splitlines()
    assert sorted(line.split(":")[0] for line in done) == ["delete", "upload"]
    aws("s3", "mv", f"{there}/new and ü.txt", f"{there}/moved.txt", "--quiet")
    aws("s3", "sync", there, here, "--delete", "--quiet")
    left = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    first = {str(path.relative_to(data / "classes")) for path in (data / "classes").rglob("*.jpg")}
    assert left == first - {f"car/{gone.name}"} | {"moved.txt"}
    assert "Total Objects: 20" in aws("s3", "ls", f"{there}/", "--recursive", "--summarize")


def test_what_is_not_there_is_said(attempt: Command, photo: Path) -> None:
    assert 'Key "nothing" does not exist' in attempt("s3", "cp", "s3://by-hand/nothing", ".").stderr
    assert "(NoSuchBucket)" in attempt("s3", "ls", "s3://not-mine").stderr
    assert "(ResourceNotFoundException)" in attempt("logs", "filter-log-events", "--log-group-name", "/no").stderr


def test_logs_of_a_job_are_read_and_searched(aws: Callable[..., Any], artifact: str) -> None:
    assert JOBS in [g["logGroupName"] for g in aws("logs", "describe-log-groups")["logGroups"]]
    of_job = ("--log-group-name", JOBS, "--log-stream-name-prefix", "shared/")
    (stream,) = aws("logs", "describe-log-streams", *of_job)["logStreams"]
    of_stream = ("--log-group-name", JOBS, "--log-stream-name", stream["logStreamName"])
    head = aws("logs", "get-log-events", *of_stream, "--start-from-head", "--limit", "1")
    assert [e["message"] for e in head["events"]] == ["Docker entrypoint called with argument(s): train"]
    more = aws("logs", "get-log-events", *of_stream, "--next-token", head["nextForwardToken"], "--limit", "1")
    assert "Reading default configuration" in more["events"][0]["message"]
    found = aws("logs", "filter-log-events", *of_job, "--filter-pattern", '"Validation-accuracy"')["events"]
    assert len(found) == 2


def test_metrics_of_a_job_are_read(aws: Callable[..., Any], artifact: str) -> None:
    job = aws("sagemaker", "describe-training-job", "--training-job-name", "shared")
    final = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    points = aws(
        *("cloudwatch", "get-metric-statistics", "--namespace", JOBS, "--metric-name", "validation:accuracy"),
        *("--dimensions", "Name=TrainingJobName,Value=shared", "--period", "60", "--statistics", "Maximum"),
        *_around(*(datetime.fromtimestamp(job[f"Training{side}Time"], UTC) for side in ("Start", "End"))),
    )["Datapoints"]
    assert final["validation:accuracy"] <= max(point["Maximum"] for point in points) <= 1


def _around(first: datetime, last: datetime) -> tuple[str, ...]:
    """Arguments of the time between, some minutes more on both sides."""
    more = timedelta(minutes=2)
    return "--start-time", (first - more).isoformat(), "--end-time", (last + more).isoformat()


@pytest.fixture(scope="module")
def endpoint(aws: Callable[..., Any], boto: Callable[[str], Any], artifact: str) -> Iterator[str]:
    """Made by the command line. Waited for with boto3 first: the command looks only every 30 seconds."""
    name, sagemaker = "by-hand", "sagemaker"
    container = f"Image={IMAGE},ModelDataUrl={artifact}"
    aws(sagemaker, "create-model", "--model-name", name, "--primary-container", container, "--execution-role-arn", ROLE)
    variant = f"VariantName=only,ModelName={name},InitialInstanceCount=1,InstanceType=ml.m5.large"
    aws(sagemaker, "create-endpoint-config", "--endpoint-config-name", name, "--production-variants", variant)
    aws(sagemaker, "create-endpoint", "--endpoint-name", name, "--endpoint-config-name", name)
    patience = {"Delay": 1, "MaxAttempts": 60}
    boto(sagemaker).get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=patience)
    aws(sagemaker, "wait", "endpoint-in-service", "--endpoint-name", name)
    yield name
    aws(sagemaker, "delete-endpoint", "--endpoint-name", name)
    boto(sagemaker).get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=patience)
    aws(sagemaker, "wait", "endpoint-deleted", "--endpoint-name", name)
    aws(sagemaker, "delete-endpoint-config", "--endpoint-config-name", name)
    aws(sagemaker, "delete-model", "--model-name", name)


def test_a_photo_is_predicted_and_counted(aws: Callable[..., Any], endpoint: str, photo: Path, tmp_path: Path) -> None:
    asked = ("--endpoint-name", endpoint, "--body", f"fileb://{photo}", "--content-type", "application/x-image")
    answer = aws("sagemaker-runtime", "invoke-endpoint", *asked, tmp_path / "answer.json")
    assert answer == {"ContentType": "application/json", "InvokedProductionVariant": "only"}
    assert sum(json.loads((tmp_path / "answer.json").read_text())) == pytest.approx(1, abs=1e-5)
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "only"}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": dimensions}
    query = [{"Id": "count", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}]
    window, deadline = _around(datetime.now(UTC), datetime.now(UTC)), time.monotonic() + 30
    while True:
        found = aws("cloudwatch", "get-metric-data", "--metric-data-queries", json.dumps(query), *window)
        if sum(found["MetricDataResults"][0]["Values"]) == 1:
            return
        assert time.monotonic() < deadline, found


def test_waiting_for_a_job_that_has_ended_returns_at_once(aws: Callable[..., Any], artifact: str) -> None:
    aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "shared")
    found = aws("sagemaker", "list-training-jobs", "--name-contains", "shared", "--status-equals", "Completed")
    assert [job["TrainingJobName"] for job in found["TrainingJobSummaries"]] == ["shared"]
