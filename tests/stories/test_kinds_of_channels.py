"""Photos as class folders and as .lst channels through plain boto3, and what a gray model makes of any photo."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from darkroom.testing.live_server import LiveServer
from tests.stories import photos
from tests.stories.test_boto3 import IMAGE, ROLE, SMALL, finished, job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BUCKET = "kinds-of-channels"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "give-photos-to-a-training-job.md"


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Any:
    variables = server.environment()
    session = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    return lambda name: session.client(name, endpoint_url=variables["AWS_ENDPOINT_URL"])


@pytest.fixture(scope="module")
def names(client: Any) -> list[str]:
    """Three classes in the bucket: every fifth photo for validation; both lists, their train lines in another order."""
    names, s3 = photos.classes(3), client("s3")
    s3.create_bucket(Bucket=BUCKET)
    lists: dict[str, list[str]] = {"train": [], "validation": []}
    for label, name in enumerate(names):
        for k, path in enumerate(sorted((photos.PHOTOS / name).iterdir())):
            side = "train" if k % 5 else "validation"
            s3.upload_file(str(path), BUCKET, f"photos/{side}/{name}/{path.name}")
            lists[side].append(f"{k + 1000 * label}\t{label}.000000\t{name}/{path.name}\r\n")
    for side, lines in lists.items():
        s3.put_object(Bucket=BUCKET, Key=f"photos/{side}_lst/{side}.lst", Body="".join(reversed(lines)).encode())
    return names


def channel(name: str, content_type: str | None = "application/x-image", prefix: str | None = None) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/photos/{prefix or name}/"}
    told = {"ContentType": content_type} if content_type else {}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}} | told


def train(client: Any, name: str, channels: list[dict[str, Any]], **hyperparameters: object) -> dict[str, Any]:
    small = {k: v for k, v in SMALL.items() if k != "num_training_samples"}
    request = job(name, channels, **(small | {"epochs": 2} | hyperparameters))
    request["OutputDataConfig"] = {"S3OutputPath": f"s3://{BUCKET}/output"}
    client("sagemaker").create_training_job(**request)
    return finished(client("sagemaker"), name)


def log_of(client: Any, name: str) -> list[str]:
    logs, group = client("logs"), "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"][0]
    found = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    return [event["message"].split("] ", 1)[-1] for event in found["events"]]


@pytest.mark.parametrize("content_type", ["application/x-image", None])
def test_class_folders_need_no_lst(client: Any, names: list[str], content_type: str | None) -> None:
    name = f"folders-{'typed' if content_type else 'untyped'}"
    found = train(client, name, [channel("train", content_type), channel("validation", content_type)])
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    assert {"train:accuracy", "validation:accuracy"} <= {m["MetricName"] for m in found["FinalMetricDataList"]}
    said = f"images in 3 class folders: {', '.join(names)}"
    assert len([line for line in log_of(client, name) if line.startswith("Found ") and line.endswith(said)]) == 2


def test_lists_of_windows_train(client: Any, names: list[str]) -> None:
    found = train(client, "lists", [channel(name) for name in ("train", "validation", "train_lst", "validation_lst")])
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    assert "Creating record files for validation.lst" in log_of(client, "lists")


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("word", "0\t0\ta.jpg\n1\tcat\tb.jpg\n", "train.lst, line 2, column 2: the label 'cat' is not a number"),
        ("absolute", "0\t0\t/home/me/a.jpg\n", "train.lst, line 1, column 3: the path '/home/me/a.jpg' is absolute"),
    ],
)
def test_a_wrong_lst_names_its_line(client: Any, names: list[str], name: str, lines: str, said: str) -> None:
    client("s3").put_object(Bucket=BUCKET, Key=f"photos/{name}/train.lst", Body=lines.encode())
    found = train(client, f"wrong-{name}", [channel("train"), channel("train_lst", prefix=name)])
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"].startswith(f"ClientError: Invalid lst file in the train channel. {said}")


def test_an_unknown_class_in_validation_is_named(client: Any, names: list[str]) -> None:
    client("s3").put_object(Bucket=BUCKET, Key="photos/other/zebra/1.jpg", Body=b"never read")
    found = train(client, "zebra", [channel("train"), channel("validation", prefix="other")])
    assert found["TrainingJobStatus"] == "Failed"
    assert "The validation channel has the class folder 'zebra'" in found["FailureReason"]


def test_an_empty_rec_is_refused_at_once(client: Any, names: list[str]) -> None:
    client("s3").put_object(Bucket=BUCKET, Key="photos/empty/train.rec", Body=b"")
    for content_type in ("application/x-recordio", None):
        with pytest.raises(ClientError, match=r"Empty \.rec file in train channel"):
            train(client, "empty", [channel("train", content_type, prefix="empty")])


def test_a_gray_model_answers_photos_of_every_kind(client: Any, names: list[str]) -> None:
    found = train(client, "gray", [channel("train")], image_shape="1,32,32")
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    sagemaker, runtime = client("sagemaker"), client("sagemaker-runtime")
    artifact = found["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model(
        ModelName="gray", PrimaryContainer={"Image": IMAGE, "ModelDataUrl": artifact}, ExecutionRoleArn=ROLE
    )
    variant = {"VariantName": "one", "ModelName": "gray", "InitialInstanceCount": 1, "InstanceType": "ml.c5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="gray", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="gray", EndpointConfigName="gray")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="gray", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    try:
        answers = {}
        for mode, kind in {"RGB": "PNG", "L": "PNG", "RGBA": "PNG", "LA": "PNG", "CMYK": "JPEG"}.items():
            answer = runtime.invoke_endpoint(
                EndpointName="gray", Body=_photo(photos.unseen(names[0]), mode, kind), ContentType="application/x-image"
            )
            answers[mode] = json.loads(answer["Body"].read())
        for answer in answers.values():
            assert answer == pytest.approx(answers["RGB"], abs=0.05)  # CMYK and JPEG round; the photo is the same
        line = json.loads(
            runtime.invoke_endpoint(
                EndpointName="gray",
                Body=_photo(photos.unseen(names[0]), "RGB", "JPEG"),
                Accept="application/jsonlines;verbose",
            )["Body"].read()
        )
        assert line["labels"] == names
    finally:
        sagemaker.delete_endpoint(EndpointName="gray")


def _photo(path: Path, mode: str, kind: str) -> bytes:
    out = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").convert(mode).save(out, kind)
    return out.getvalue()


def test_the_page_about_photos_works_as_written(client: Any, server: LiveServer, tmp_path: Path) -> None:
    """Its blocks in their order, but those that need MXNet."""
    for name in ("car", "watch"):
        for k, path in enumerate(sorted((photos.PHOTOS / name).iterdir())):
            target = tmp_path / "photos" / ("train" if k % 5 else "validation") / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | server.environment()
    environ |= {"PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"}
    environ |= {"DARKROOM_HOME": str(server.home), "DARKROOM_PORT": str(server.port)}
    for language, block in re.findall(r"^```(bash|python)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        if "mxnet" in block:
            continue
        command = ["bash", "-ec", block] if language == "bash" else [sys.executable, "-c", block]
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    for name in ("from-folders", "from-lists"):
        found = finished(client("sagemaker"), name)
        assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
