from typing import Any

import pytest

from darkroom.contract.images import image_of
from darkroom.control import acceptance
from darkroom.errors import Invalid
from darkroom.objects.local import LocalStore
from tests.control.platform import channel, training_request

BUILT_IN = image_of("image-classification:1")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = LocalStore(tmp_path_factory.mktemp("objects"))
    store.create_bucket("photos")
    writer = store.writer()
    writer.write(b"jpeg")
    store.put("photos", "train/a.jpg", writer.commit(), {})
    yield store
    store.close()


def check(objects: Any, strict: bool = False, kind: str = "ml.c5.xlarge", **changes: Any) -> None:
    resources = {"InstanceCount": 1, "InstanceType": kind, "VolumeSizeInGB": 1}
    request = training_request(ResourceConfig=resources, **changes)
    acceptance.check_training(request, BUILT_IN, objects, "us-east-1", strict)


def test_any_machine_trains_here_and_only_gpus_where_aws_is_wanted(objects: Any) -> None:
    check(objects)
    check(objects, strict=True, kind="ml.p2.xlarge")
    check(objects, strict=True, kind="ml.g4dn.xlarge")
    with pytest.raises(Invalid) as refused:
        check(objects, strict=True, kind="ml.c4.2xlarge")
    assert str(refused.value) == (
        "Instance type ml.c4.2xlarge is not supported by algorithm image-classification; "
        "only GPU instances are supported."
    )


def test_several_hosts_train_together_as_many_as_a_machine_can_have(objects: Any) -> None:
    def request(count: int) -> dict[str, Any]:
        hosts = {"InstanceCount": count, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        return training_request(ResourceConfig=hosts)

    acceptance.check_training(request(16), BUILT_IN, objects, "us-east-1", False)
    with pytest.raises(Invalid, match=r"InstanceCount 17 is too many"):
        acceptance.check_training(request(17), BUILT_IN, objects, "us-east-1", False)
    with pytest.raises(Invalid, match=r"InstanceCount 0 is too few"):
        acceptance.check_training(request(0), BUILT_IN, objects, "us-east-1", False)


def test_what_does_no_harm_is_accepted(objects: Any) -> None:
    sharded = channel("train", "s3://photos/train", ShuffleConfig={"Seed": 1}, InputMode="FastFile")
    sharded["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    check(
        objects,
        InputDataConfig=[sharded],
        EnableManagedSpotTraining=True,
        DebugHookConfig={"S3OutputPath": "s3://photos/d"},
        ProfilerConfig={"DisableProfiler": False},
        RetryStrategy={"MaximumRetryAttempts": 1},
    )


@pytest.mark.parametrize("content_type", ["application/x-recordio", None])
def test_an_empty_rec_is_refused_whether_its_type_is_said_or_not(objects: Any, content_type: str | None) -> None:
    objects.put("photos", "empty/train.rec", objects.writer().commit(), {})
    told = {"ContentType": content_type} if content_type else {}
    empty = channel("train", "s3://photos/empty/", **told)
    with pytest.raises(Invalid, match=r"Empty \.rec file in train channel: s3://photos/empty/train\.rec has 0 bytes"):
        check(objects, InputDataConfig=[empty])


@pytest.mark.parametrize("url", ["http://photos/train", "photos/train", "s3://", "s3:///key"])
def test_only_s3_urls_are_locations(objects: Any, url: str) -> None:
    with pytest.raises(Invalid, match="write s3://bucket/prefix"):
        check(objects, OutputDataConfig={"S3OutputPath": url})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DataCaptureConfig": {"EnableCapture": True}}, "DataCaptureConfig is not offered"),
        ({"AsyncInferenceConfig": {"OutputConfig": {}}}, "AsyncInferenceConfig is not offered"),
        ({"ProductionVariants": [{"VariantName": "v", "ModelName": "m"}] * 2}, "VariantName must be unique"),
        (
            {"ProductionVariants": [{"VariantName": "v", "ModelName": "m", "ServerlessConfig": {"MaxConcurrency": 1}}]},
            "Serverless",
        ),
        ({"ProductionVariants": [{"VariantName": "v"}]}, "variant v needs ModelName"),
    ],
)
def test_configurations_that_mean_something_else_are_refused(changes: dict[str, Any], said: str) -> None:
    request = {
        "ProductionVariants": [{"VariantName": "v", "ModelName": "m"}],
        "DataCaptureConfig": {"EnableCapture": False},
    }
    acceptance.check_endpoint_config(request)
    with pytest.raises(Invalid, match=said):
        acceptance.check_endpoint_config(request | changes)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "PrimaryContainer"),
        ({"Containers": [{"Image": "a"}, {"Image": "b"}]}, "Containers has 2 members"),
        ({"PrimaryContainer": {"ModelPackageName": "p"}}, "needs Image"),
    ],
)
def test_a_model_has_one_container(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        acceptance.containers(request_)
    assert acceptance.containers({"Containers": [{"Image": "a"}]}) == [{"Image": "a"}]


def test_model_data_may_be_said_in_two_ways() -> None:
    source = {"S3Uri": "s3://b/m.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}
    assert acceptance.model_data_url({"ModelDataUrl": "s3://b/m.tar.gz"}) == "s3://b/m.tar.gz"
    assert acceptance.model_data_url({"ModelDataSource": {"S3DataSource": source}}) == "s3://b/m.tar.gz"
    with pytest.raises(Invalid, match="CompressionType Gzip"):
        acceptance.model_data_url({"ModelDataSource": {"S3DataSource": source | {"CompressionType": "None"}}})


def test_a_metric_that_could_hang_the_server_is_refused() -> None:
    with pytest.raises(Invalid, match="may never end on a line it does not match"):
        acceptance._check_metrics([{"Name": "m", "Regex": "(a+)+$"}])


def test_checkpoints_need_a_bucket_and_a_folder_of_their_own(objects: Any) -> None:
    def check(config: dict[str, str], **changes: Any) -> None:
        request = training_request(CheckpointConfig=config, **changes)
        acceptance.check_training(request, BUILT_IN, objects, "us-east-1", False)

    check({"S3Uri": "s3://photos/kept"})
    check({"S3Uri": "s3://photos/kept/", "LocalPath": "/opt/ml/checkpoints/"})
    with pytest.raises(Invalid, match=r"bucket 'nobody' of CheckpointConfig\.S3Uri 's3://nobody/kept' does not exist"):
        check({"S3Uri": "s3://nobody/kept"})
    for path in ("/tmp/kept", "/opt/ml", "/opt/ml/model", "/opt/ml/input/../input/kept", "/opt/ml/../etc", "kept"):
        with pytest.raises(Invalid, match=f"CheckpointConfig.LocalPath '{path}' must be a folder below /opt/ml"):
            check({"S3Uri": "s3://photos/kept", "LocalPath": path})


@pytest.mark.parametrize(
    ("limits", "spot", "said"),
    [
        ({"MaxRuntimeInSeconds": 60}, True, "It must be present"),
        ({"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}, True, "greater than or equal to"),
        ({"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}, False, "is for managed spot training"),
    ],
)
def test_patience_is_held_to_aws_rules_where_they_are_wanted(
    objects: Any, limits: dict[str, int], spot: bool, said: str
) -> None:
    gpu = {"InstanceCount": 1, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 1}
    request = training_request(StoppingCondition=limits, EnableManagedSpotTraining=spot, ResourceConfig=gpu)
    acceptance.check_training(request, BUILT_IN, objects, "us-east-1", False)
    with pytest.raises(Invalid, match=said):
        acceptance.check_training(request, BUILT_IN, objects, "us-east-1", True)
