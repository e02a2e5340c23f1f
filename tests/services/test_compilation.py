"""Compilation jobs through boto3. The compiler, the executor and the store are real; the model is one matrix."""

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from darkroom.compiler import targets
from tests.control.models import tiny_model
from tests.control.platform import BUCKET, ROLE, Platform, client, serving, training_request

pytestmark = pytest.mark.slow

ENDED = ("COMPLETED", "FAILED", "STOPPED")
DEADLINE_S = 240  # a machine may have others to serve for minutes


@dataclass
class Live:
    platform: Platform
    sagemaker: Any

    def compile(self, name: str, **changes: Any) -> dict[str, Any]:
        self.sagemaker.create_compilation_job(**request(name, **changes))
        return self.until(name, ENDED)

    def until(self, name: str, statuses: tuple[str, ...]) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            job: dict[str, Any] = self.sagemaker.describe_compilation_job(CompilationJobName=name)
            if job["CompilationJobStatus"] in statuses:
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.02)

    def read(self, key: str) -> bytes:
        return b"".join(self.platform.objects.read(self.platform.objects.get(BUCKET, key)))


def request(name: str, **changes: Any) -> dict[str, Any]:
    given = {"S3Uri": f"s3://{BUCKET}/given/model.tar.gz", "DataInputConfig": '{"data": [1, 4]}', "Framework": "ONNX"}
    output = {"S3OutputLocation": f"s3://{BUCKET}/compiled/{name}/", "TargetDevice": "ml_c5"}
    return {
        "CompilationJobName": name,
        "RoleArn": ROLE,
        "InputConfig": given | changes.pop("given", {}),
        "OutputConfig": output | changes.pop("output", {}),
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
    } | changes


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    platform = Platform(tmp_path_factory.mktemp("home"), max_training_jobs=1)
    platform.put("train/a.jpg")
    platform.put("given/model.tar.gz", tiny_model())
    with serving(platform) as url:
        yield Live(platform, client(url))
    platform.close()


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_job_from_request_to_artifact(live: Live) -> None:
    job = live.compile("whole", Tags=[{"Key": "team", "Value": "eyes"}])
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    assert job["CompilationJobArn"] == "arn:aws:sagemaker:us-east-1:000000000000:compilation-job/whole"
    assert job["CreationTime"] <= job["CompilationStartTime"] <= job["CompilationEndTime"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/compiled/whole/model-ml_c5.tar.gz"
    packed = live.read("compiled/whole/model-ml_c5.tar.gz")
    assert hashlib.sha256(packed).hexdigest() == job["ModelDigests"]["ArtifactDigest"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert {"compiled.json", "compiled.onnx", "compilation-report.json"} <= set(archive.getnames())
    assert json.loads(live.read("compiled/whole/compilation-report.json"))["dtype"] == "fp32"
    assert live.read("compiled/whole/compilation-report.html").startswith(b"<!doctype html>")
    log = [e.message for e in live.platform.logs.events("/aws/sagemaker/CompilationJobs", "whole").events]
    assert log[0] == "Compilation starts"
    assert log[-1].startswith("Compiled for ml_c5 in ")


def test_a_platform_instead_of_a_device(live: Live) -> None:
    output = {"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64", "Accelerator": "NVIDIA"}}
    given = request("platform", output=output)
    del given["OutputConfig"]["TargetDevice"]
    live.sagemaker.create_compilation_job(**given)
    job = live.until("platform", ENDED)
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/model-LINUX_ARM64_NVIDIA.tar.gz")
    (summary,) = live.sagemaker.list_compilation_jobs(NameContains="platform")["CompilationJobSummaries"]
    assert (summary["CompilationTargetPlatformArch"], summary["CompilationJobStatus"]) == ("ARM64", "COMPLETED")


@pytest.mark.parametrize(
    "name", botocore.session.get_session().get_service_model("sagemaker").shape_for("TargetDevice").enum
)
def test_every_device_that_sagemaker_names_is_known(name: str) -> None:
    assert targets.device(name).arch in (targets.X86, targets.ARM)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"DataInputConfig": '{"data": [1, 5]}'}, "InputConfiguration: DataInputConfig says [None, 5]"),
        ({"DataInputConfig": '{"dota": [1, 4]}'}, "model.onnx has the input 'data'"),
        ({"DataInputConfig": "four"}, "DataInputConfig is 'four'; expected something like"),
        ({"Framework": "MXNET"}, "the model holds: model.onnx"),
        ({"Framework": "XGBOOST"}, "it classifies tables"),
    ],
)
def test_what_is_wrong_is_echoed_with_what_was_expected(live: Live, given: dict[str, str], reason: str) -> None:
    name = f"wrong-{abs(hash(str(given)))}"
    job = live.compile(name, given=given)
    assert job["CompilationJobStatus"] == "FAILED"
    assert job["FailureReason"].startswith("ClientError: ")
    assert reason in job["FailureReason"]


def test_a_damaged_archive_is_the_users_to_correct(live: Live) -> None:
    live.platform.put("given/half.tar.gz", tiny_model()[:100])
    job = live.compile("damaged", given={"S3Uri": f"s3://{BUCKET}/given/half.tar.gz"})
    assert job["FailureReason"].startswith("ClientError: InputConfiguration: half.tar.gz is not a complete gzipped tar")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"given": {"S3Uri": f"s3://{BUCKET}/given/none.tar.gz"}}, "InputConfiguration: no model at S3Uri"),
        ({"output": {"S3OutputLocation": "s3://no-such-bucket/x"}}, "The bucket 'no-such-bucket' of S3OutputLocation"),
        ({"output": {"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}}}, "either TargetDevice or TargetPlatform"),
    ],
)
def test_refused_at_once(live: Live, changes: dict[str, Any], said: str) -> None:
    code, message = refused(lambda: live.sagemaker.create_compilation_job(**request("refused", **changes)))
    assert code == "ValidationException"
    assert said in message
    assert not live.sagemaker.list_compilation_jobs(NameContains="refused")["CompilationJobSummaries"]


def test_names_are_unique_and_unknown_ones_are_said(live: Live) -> None:
    live.compile("twice")
    assert refused(lambda: live.compile("twice"))[0] == "ResourceInUse"
    for call in ("describe", "stop", "delete"):
        asked = getattr(live.sagemaker, f"{call}_compilation_job")
        assert refused(lambda asked=asked: asked(CompilationJobName="nobody")) == (
            "ResourceNotFound",
            "Could not find compilation job arn:aws:sagemaker:us-east-1:000000000000:compilation-job/nobody.",
        )


def test_a_job_waits_for_room_and_can_be_stopped_and_deleted(live: Live) -> None:
    """One job fits, whatever its kind."""
    gate = live.platform.settings.home / "gate"
    live.sagemaker.create_training_job(**training_request("first", Environment={"UNTIL": str(gate)}))
    live.sagemaker.create_compilation_job(**request("waits"))
    live.sagemaker.create_compilation_job(**request("stopped"))
    assert live.sagemaker.describe_compilation_job(CompilationJobName="waits")["CompilationJobStatus"] == "STARTING"
    assert "stop it" in refused(lambda: live.sagemaker.delete_compilation_job(CompilationJobName="stopped"))[1]
    live.sagemaker.stop_compilation_job(CompilationJobName="stopped")
    assert live.until("stopped", ENDED)["CompilationJobStatus"] == "STOPPED"
    assert (
        "is in status STOPPED" in refused(lambda: live.sagemaker.stop_compilation_job(CompilationJobName="stopped"))[1]
    )
    gate.touch()
    assert live.until("waits", ENDED)["CompilationJobStatus"] == "COMPLETED"
    live.sagemaker.delete_compilation_job(CompilationJobName="stopped")
    assert refused(lambda: live.until("stopped", ENDED))[0] == "ResourceNotFound"


def test_listings_filter_sort_and_page(live: Live) -> None:
    for name in ("list-b", "list-a"):
        live.compile(name)
    names = [
        job["CompilationJobName"]
        for page in live.sagemaker.get_paginator("list_compilation_jobs").paginate(
            NameContains="list-", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 1}
        )
        for job in page["CompilationJobSummaries"]
    ]
    assert names == ["list-a", "list-b"]
    assert not live.sagemaker.list_compilation_jobs(NameContains="list-", StatusEquals="FAILED")[
        "CompilationJobSummaries"
    ]
