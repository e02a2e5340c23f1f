from dataclasses import replace
from typing import Any

import pytest

from darkroom.control import compilation_plans as plans
from darkroom.control.lineage import Origin, origin_of
from darkroom.control.resources import Kind, Resource
from darkroom.errors import NotFound
from darkroom.executors.base import Input
from tests.control import values

MODEL = "s3://b/out/job/output/model.tar.gz"


def request(**output: Any) -> dict[str, Any]:
    return {
        "CompilationJobName": "c",
        "InputConfig": {"S3Uri": MODEL, "Framework": "MXNET", "DataInputConfig": '{"data": [1, 3, 32, 32]}'},
        "OutputConfig": {"S3OutputLocation": "s3://b/compiled/", "TargetDevice": "ml_c5"} | output,
    }


def channel(name: str, **source: Any) -> dict[str, Any]:
    s3 = {"S3DataType": "S3Prefix", "S3Uri": f"s3://b/{name}/"} | source
    return {"ChannelName": name, "DataSource": {"S3DataSource": s3}}


TRAINED = values.job(
    "completed",
    TrainingJobName="job",
    OutputDataConfig={"S3OutputPath": "s3://b/out"},
    HyperParameters={"multi_label": "1"},
    InputDataConfig=[
        channel("train"),
        channel("validation", S3DataType="AugmentedManifestFile"),
        channel("model"),
        channel("train_lst"),
    ],
)


def find(kind: Kind, name: str) -> Resource:
    if (kind, name) != (Kind.TRAINING_JOB, "job"):
        raise NotFound(kind, name)
    return TRAINED


def test_an_artifact_leads_to_the_job_that_made_it() -> None:
    found = origin_of(MODEL, find)
    assert (found.training_job, found.hyperparameters) == ("job", {"multi_label": "1"})
    assert found.channels == {"train": "s3://b/train/", "train_lst": "s3://b/train_lst/"}


@pytest.mark.parametrize(
    "url", ["s3://b/other/job/output/model.tar.gz", "s3://b/out/jab/output/model.tar.gz", "s3://b/m.tar.gz", "s3://b"]
)
def test_any_other_artifact_has_no_origin(url: str) -> None:
    assert origin_of(url, find) == Origin()


@pytest.mark.parametrize(
    ("output", "url"),
    [
        ({}, "s3://b/compiled/model-ml_c5.tar.gz"),
        ({"S3OutputLocation": "s3://b"}, "s3://b/model-ml_c5.tar.gz"),
        (
            {"TargetDevice": None, "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}},
            "s3://b/compiled/model-LINUX_X86_64.tar.gz",
        ),
    ],
)
def test_where_the_artifact_goes(output: dict[str, Any], url: str) -> None:
    assert plans.artifact_url(request(**output)) == url


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ('{"calibration": "s3://b/photos"}', "s3://b/photos"),
        ("{'calibration': 's3://b/photos'}", "s3://b/photos"),
        ('{"dtype": "int8"}', ""),
        ('{"calibration": "photos"}', ""),
        ("[1, 2", ""),
        ("", ""),
    ],
)
def test_the_calibration_prefix(options: str, prefix: str) -> None:
    assert plans.calibration_prefix(options) == prefix


def test_the_task_gets_the_model_and_the_photos() -> None:
    job = replace(values.job("pending"), kind=Kind.COMPILATION_JOB, name="c", request=request())
    task = plans.task(job, {"train": "s3://b/train/"}, "us-east-1")
    assert task.inputs == (Input("model", "b", "out/job/output/model.tar.gz"), Input("train", "b", "train/"))
    assert (task.log.group, task.log.stream, task.packs) == ("/aws/sagemaker/CompilationJobs", "c", True)
