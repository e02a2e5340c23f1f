"""Pipe mode and manifests through plain boto3 and the built-in algorithm, on real photos."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stories import photos
from tests.stories.test_kinds_of_channels import BUCKET, channel, client, log_of, names, train

__all__ = ["client", "names"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECORDIO = "application/x-recordio"


@pytest.fixture(scope="module")
def records(client: Any, names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """photos/rec/train.rec and photos/rec_validation/validation.rec: every fifth photo validates."""
    folder = tmp_path_factory.mktemp("records")
    for side in ("train", "validation"):
        lines = [
            f"{k + 1000 * label}\t{label}\t{name}/{path.name}\n"
            for label, name in enumerate(names)
            for k, path in enumerate(sorted((photos.PHOTOS / name).iterdir()))
            if (k % 5 > 0) == (side == "train")
        ]
        (folder / f"{side}.lst").write_text("".join(lines))
        im2rec(folder / side, photos.PHOTOS)
        client("s3").upload_file(str(folder / f"{side}.rec"), BUCKET, f"rec/{side}/{side}.rec")


def im2rec(prefix: Path, root: Path) -> None:
    command = [sys.executable, "-m", "darkroom.cli.main", "im2rec", "--resize", "48", str(prefix), str(root)]
    subprocess.run(command, check=True, capture_output=True)


def piped(name: str, key: str, kind: str = "S3Prefix", source: dict[str, Any] | None = None, **more: Any) -> Any:
    given = channel(name, RECORDIO) | {"InputMode": "Pipe"} | more
    given["DataSource"]["S3DataSource"] |= {"S3DataType": kind, "S3Uri": f"s3://{BUCKET}/{key}"} | (source or {})
    return given


def test_records_come_through_pipes_as_they_do_as_files(client: Any, names: list[str], records: None) -> None:
    accuracies = []
    for mode in ("File", "Pipe"):
        channels = [piped(side, f"rec/{side}/", InputMode=mode) for side in ("train", "validation")]
        found = train(client, f"records-{mode.lower()}", channels)
        assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
        accuracies.append({m["MetricName"]: m["Value"] for m in found["FinalMetricDataList"]})
    assert accuracies[0] == accuracies[1]
    assert "Reading the train channel from /opt/ml/input/data/train_0." in log_of(client, "records-pipe")


@pytest.mark.parametrize("mode", ["Pipe", "File"])
def test_augmented_manifests_train(client: Any, names: list[str], mode: str) -> None:
    for side in ("train", "validation"):
        lines = [
            json.dumps({"source-ref": f"s3://{BUCKET}/photos/{side}/{name}/{path.name}", "class": label})
            for label, name in enumerate(names)
            for k, path in enumerate(sorted((photos.PHOTOS / name).iterdir()))
            if (k % 5 > 0) == (side == "train")
        ]
        body = "\n".join(lines).encode()
        client("s3").put_object(Bucket=BUCKET, Key=f"manifests/{side}.manifest", Body=body)
    attributes = {"AttributeNames": ["source-ref", "class"]}
    wrapped = {"RecordWrapperType": "RecordIO", "ShuffleConfig": {"Seed": 3}, "InputMode": mode}
    kind = "AugmentedManifestFile"
    channels = [piped(s, f"manifests/{s}.manifest", kind, attributes, **wrapped) for s in ("train", "validation")]
    found = train(client, f"augmented-{mode.lower()}", channels)
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    assert {"train:accuracy", "validation:accuracy"} <= {m["MetricName"] for m in found["FinalMetricDataList"]}
    assert found["InputDataConfig"] == channels
