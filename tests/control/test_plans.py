import json
from typing import Any

import pytest

from darkroom.contract.images import Image, image_of
from darkroom.control import plans
from darkroom.control.states.fleet import VariantPlan
from darkroom.executors.base import Archive, Input, LogTarget, Task
from tests.control.values import CREATED, endpoint, fleet, job

BUILT_IN = image_of("811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1")


def task(strict: bool = False, **request: Any) -> Task:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/train"}
    given = {
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.p2.xlarge"},
        "InputDataConfig": [
            {"ChannelName": "train", "ContentType": "application/x-recordio", "DataSource": {"S3DataSource": source}},
            {"ChannelName": "validation", "InputMode": "FastFile", "DataSource": {"S3DataSource": source}},
        ],
        "HyperParameters": {"epochs": "2", "image_shape": "3,224,224"},
    }
    return plans.training_task(job("starting", **given | request), BUILT_IN, "eu-west-1", strict)


def file(made: Task, name: str) -> Any:
    return json.loads(made.files[f"input/config/{name}.json"])


def test_a_job_finds_the_files_that_sagemaker_writes() -> None:
    made = task()
    assert file(made, "hyperparameters") == {"epochs": "2", "image_shape": "3,224,224"}
    assert file(made, "inputdataconfig") == {
        "train": {
            "ContentType": "application/x-recordio",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
        "validation": {
            "TrainingInputMode": "FastFile",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
    }
    hosts = file(made, "resourceconfig")
    assert (hosts["current_host"], hosts["hosts"], hosts["current_instance_type"]) == (
        "algo-1",
        ["algo-1"],
        "ml.p2.xlarge",
    )


def test_a_job_runs_its_image_with_sagemakers_variables_and_its_own() -> None:
    made = task(Environment={"MINE": "1", "TRAINING_JOB_NAME": "not mine to set"})
    assert made.command == ("{python}", "-m", "darkroom.algorithm", "train")
    assert made.variables == {
        "MINE": "1",
        "TRAINING_JOB_NAME": "job",
        "TRAINING_JOB_ARN": "arn:aws:sagemaker:us-east-1:0:training-job/job",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    assert made.log == LogTarget("/aws/sagemaker/TrainingJobs", f"job/algo-1-{int(CREATED.timestamp())}")
    assert made.inputs == (Input("train", "b", "train"), Input("validation", "b", "train"))
    assert made.packs
    assert not made.serves


def test_an_entry_point_replaces_the_images_command() -> None:
    algorithm = {
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", "true"],
    }
    assert task(AlgorithmSpecification=algorithm).command == ("/bin/bash", "-c", "true")


def test_a_worker_gets_its_archive_and_the_models_environment() -> None:
    plan = VariantPlan("v", "m", "image", "s3://b/j/output/model.tar.gz", 1.0, 1, {"A": "1"})
    image = Image("x", "builtin", serve=("serve",))
    made = plans.worker_task(endpoint("creating", fleet()), "e-1-2-9", plan, image, "us-east-1")
    assert made.archive == Archive("b", "j/output/model.tar.gz")
    assert made.serves
    assert made.variables["A"] == "1"
    assert made.log.group == "/aws/sagemaker/Endpoints/e"
    assert made.log.stream.startswith("v/i-")
    assert len(made.log.stream) == len("v/i-") + 17


def test_strict_reaches_the_job() -> None:
    assert "DARKROOM_STRICT" not in task().variables
    assert task(strict=True).variables["DARKROOM_STRICT"] == "1"


@pytest.mark.parametrize(
    ("local", "told"),
    [({}, "1"), ({"LocalPath": "/opt/ml/kept/here"}, "./kept/here"), ({"LocalPath": "/opt/ml/1"}, "./1")],
)
def test_a_job_is_told_where_its_checkpoints_are_kept(local: dict[str, str], told: str) -> None:
    assert task(CheckpointConfig={"S3Uri": "s3://bucket/kept"} | local).variables["DARKROOM_CHECKPOINTS"] == told
