"""One job from photos to prediction with plain boto3, and what goes wrong on the way."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from darkroom.testing.live_server import LiveServer
from tests.stories import photos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
BUCKET, ROLE = "photos-of-mine", "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-darkroom"


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Any:
    """``client("sagemaker")`` and so on, led here by the printed environment alone."""
    variables = server.environment()
    session = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    return lambda name: session.client(name, endpoint_url=variables["AWS_ENDPOINT_URL"])


@pytest.fixture(scope="module")
def channels(client: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("packed")
    photos.pack(folder, photos.classes(3), "train.rec", "validation.rec")
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for name in ("train", "validation"):
        s3.upload_file(str(folder / f"{name}.rec"), BUCKET, f"{name}/{name}.rec")
    return [channel("train"), channel("validation")]


def channel(name: str, prefix: str | None = None) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix or name}/"}
    return {"ChannelName": name, "ContentType": "application/x-recordio", "DataSource": {"S3DataSource": source}}


def job(name: str, channels: list[dict[str, Any]], **hyperparameters: object) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
        "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {k: str(v) for k, v in hyperparameters.items()},
    }


SMALL = {
    "num_layers": 20,
    "image_shape": "3,32,32",
    "num_classes": 3,
    "num_training_samples": 96,
    "mini_batch_size": 16,
}


def finished(sagemaker: Any, name: str, deadline_s: float = 300) -> dict[str, Any]:
    deadline = time.monotonic() + deadline_s
    while True:
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        if found["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


@pytest.fixture(scope="module")
def trained(client: Any, channels: list[dict[str, Any]]) -> dict[str, Any]:
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(**job("first", channels, epochs=2, learning_rate=0.05, **SMALL))
    found = finished(sagemaker, "first")
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    return found


@pytest.fixture(scope="module")
def endpoint(client: Any, trained: dict[str, Any]) -> Iterator[str]:
    sagemaker = client("sagemaker")
    artifact = trained["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": IMAGE, "ModelDataUrl": artifact}
    sagemaker.create_model(ModelName="first", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "first",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.c5.large",
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="first", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="first", EndpointConfigName="first")
    deadline = time.monotonic() + 60
    while (status := sagemaker.describe_endpoint(EndpointName="first")["EndpointStatus"]) == "Creating":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == "InService"
    yield "first"
    sagemaker.delete_endpoint(EndpointName="first")
    sagemaker.delete_endpoint_config(EndpointConfigName="first")
    sagemaker.delete_model(ModelName="first")


def test_a_job_tells_its_whole_story(client: Any, trained: dict[str, Any]) -> None:
    steps = [(t["Status"], t["StatusMessage"]) for t in trained["SecondaryStatusTransitions"]]
    assert steps[0][0] == "Starting"
    assert steps[-3:] == [
        ("Training", "Training image download completed. Training in progress."),
        ("Uploading", "Uploading generated training model"),
        ("Completed", "Training job completed"),
    ]
    metrics = {m["MetricName"]: m["Value"] for m in trained["FinalMetricDataList"]}
    assert {"train:accuracy", "validation:accuracy"} <= set(metrics)
    assert trained["TrainingEndTime"] >= trained["TrainingStartTime"]
    logs = client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="first/")["logStreams"][0]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    lines = [e["message"] for e in events["events"]]
    assert lines[0] == "Docker entrypoint called with argument(s): train"
    assert any("Validation accuracy through the serving code" in line for line in lines)
    size = client("s3").head_object(Bucket=BUCKET, Key="output/first/output/model.tar.gz")["ContentLength"]
    assert size > 100_000


@pytest.mark.parametrize("content_type", ["application/x-image", "image/jpeg", "application/octet-stream"])
def test_a_photo_gets_probabilities(client: Any, endpoint: str, content_type: str) -> None:
    photo = photos.unseen(photos.classes(1)[0]).read_bytes()
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=photo, ContentType=content_type)
    found = json.loads(answer["Body"].read())
    assert len(found) == 3
    assert sum(found) == pytest.approx(1, abs=1e-5)
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_class_names_come_on_request(client: Any, endpoint: str) -> None:
    photo = photos.unseen(photos.classes(1)[0]).read_bytes()
    runtime = client("sagemaker-runtime")
    arguments = {"EndpointName": endpoint, "Body": photo, "ContentType": "application/x-image"}
    plain = runtime.invoke_endpoint(**arguments, Accept="application/jsonlines")
    assert set(json.loads(plain["Body"].read())) == {"prediction"}
    verbose = json.loads(runtime.invoke_endpoint(**arguments, Accept="application/jsonlines;verbose")["Body"].read())
    assert len(verbose["labels"]) == len(verbose["probabilities"]) == 3


def test_what_is_no_image_is_the_clients_error(client: Any, endpoint: str) -> None:
    with pytest.raises(ClientError) as caught:
        client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, Body=b"not a photo", ContentType="application/x-image"
        )
    error = caught.value.response
    assert error["Error"]["Code"] == "ModelError"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert error["OriginalStatusCode"] == 400


def test_invocations_are_counted(client: Any, endpoint: str) -> None:
    cloudwatch = client("cloudwatch")
    photo = photos.unseen(photos.classes(1)[0]).read_bytes()
    client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=photo, ContentType="application/x-image")
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
    deadline = time.monotonic() + 30
    while True:
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="ModelLatency",
            Dimensions=dimensions,
            StartTime=time.time() - 3600,
            EndTime=time.time() + 120,
            Period=60,
            Statistics=["Average", "SampleCount"],
        )["Datapoints"]
        if points:
            assert points[0]["Average"] > 100  # microseconds: no network runs faster
            return
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_layers": 19}, "num_layers"),
        ({"mini_batch_size": 4000}, "mini_batch_size"),
        ({"num_clases": 3}, "num_clases"),
    ],
)
def test_a_wrong_hyperparameter_is_named(
    client: Any, channels: list[dict[str, Any]], change: dict[str, object], said: str
) -> None:
    sagemaker = client("sagemaker")
    name = f"wrong-{said.replace('_', '-')}"
    sagemaker.create_training_job(**job(name, channels, epochs=1, **(SMALL | change)))
    found = finished(sagemaker, name)
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"].startswith("ClientError")
    assert said in found["FailureReason"]


def test_an_empty_prefix_is_refused_at_once(client: Any, channels: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientError, match="No S3 objects found under S3 URL"):
        client("sagemaker").create_training_job(
            **job("nothing-there", [channel("train", "nowhere"), channels[1]], epochs=1, **SMALL)
        )


def test_a_stopped_job_keeps_its_model(client: Any, channels: list[dict[str, Any]]) -> None:
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(**job("stopped", channels, epochs=10_000, **SMALL))
    logs = client("logs")
    deadline = time.monotonic() + 120
    while True:  # stop it when it has finished an epoch, and so has something to keep
        found = logs.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="stopped/", filterPattern='"Train-accuracy"'
        )["events"]
        if found:
            break
        assert time.monotonic() < deadline
        time.sleep(0.3)
    sagemaker.stop_training_job(TrainingJobName="stopped")
    found = finished(sagemaker, "stopped")
    assert found["TrainingJobStatus"] == "Stopped"
    assert client("s3").head_object(Bucket=BUCKET, Key="output/stopped/output/model.tar.gz")["ContentLength"] > 1000


def test_a_photo_sent_while_the_worker_is_killed_is_still_answered(
    client: Any, endpoint: str, server: LiveServer, tmp_path: Path
) -> None:
    """Every request gets an answer; the killed worker is replaced."""
    psutil = pytest.importorskip("psutil")
    photo = photos.unseen(photos.classes(1)[0]).read_bytes()
    runtime = client("sagemaker-runtime")
    workers = [
        p
        for p in psutil.process_iter(["cmdline", "environ"])
        if "darkroom.serving" in (p.info["cmdline"] or [])
        and str(server.home) in str((p.info["environ"] or {}).get("DARKROOM_HOME", server.home))
    ]
    assert workers
    workers[0].kill()
    for _ in range(5):
        answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=photo, ContentType="application/x-image")
        assert len(json.loads(answer["Body"].read())) == 3
