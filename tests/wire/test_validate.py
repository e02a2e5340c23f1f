"""Constraints of the models, in AWS's wording."""

import pytest

from darkroom.wire.models import model
from darkroom.wire.validate import compiled, validate

FAILED = "failed to satisfy constraint"
NULL = f"{FAILED}: Member must not be null"
AT_MOST = "Member must have length less than or equal to"
AT_LEAST = "Member must have value greater than or equal to"


def wrong(service: str, operation: str, **params) -> str | None:
    return validate(model(service).operation(operation).input_shape, params)


def test_nothing_wrong():
    assert wrong("sagemaker", "DescribeModel", ModelName="a-good-name") is None
    assert wrong("sts", "GetCallerIdentity") is None


def test_a_pattern():
    assert wrong("sagemaker", "DescribeModel", ModelName="bad_name") == (
        "1 validation error detected: Value 'bad_name' at 'modelName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    )


def test_a_missing_member_and_a_long_one():
    assert wrong("sagemaker", "CreateModel", ModelName="x" * 64, ExecutionRoleArn=None) == (
        f"1 validation error detected: Value '{'x' * 64}' at 'modelName' failed to satisfy constraint: "
        "Member must have length less than or equal to 63"
    )
    assert wrong("sagemaker", "CreateModel") == (
        "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: Member must not be null"
    )


def test_several_faults_in_nested_members():
    text = wrong(
        "sagemaker",
        "CreateTrainingJob",
        TrainingJobName="job",
        AlgorithmSpecification={"TrainingInputMode": "Fast"},
        RoleArn="arn:aws:iam::123456789012:role/r",
        InputDataConfig=[
            {"ChannelName": "train", "DataSource": {}},
            {"DataSource": {"S3DataSource": {"S3Uri": "s3://b"}}},
        ],
        OutputDataConfig={"S3OutputPath": "s3://b/o"},
        ResourceConfig={"InstanceType": "ml.p2.xlarge", "InstanceCount": -1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 0},
    )
    assert text is not None
    count, _, rest = text.partition(" detected: ")
    assert count == "5 validation errors"
    enum, *others = sorted(rest.split("; "), key=lambda fault: "enum" not in fault)
    assert enum.startswith(
        f"Value 'Fast' at 'algorithmSpecification.trainingInputMode' {FAILED}: Member must satisfy enum"
    )
    assert sorted(others) == [
        f"Value '-1' at 'resourceConfig.instanceCount' {FAILED}: {AT_LEAST} 0",
        f"Value '0' at 'stoppingCondition.maxRuntimeInSeconds' {FAILED}: {AT_LEAST} 1",
        f"Value null at 'inputDataConfig.2.member.channelName' {NULL}",
        f"Value null at 'inputDataConfig.2.member.dataSource.s3DataSource.s3DataType' {NULL}",
    ]


def test_members_of_maps_and_lists_list_all_their_constraints():
    text = wrong("sagemaker", "CreateTrainingJob", HyperParameters={"k": "v" * 2501}) or ""
    assert f"at 'hyperParameters' {FAILED}: Map value must satisfy constraint: [{AT_MOST} 2500" in text
    arn = "arn:aws:sagemaker:us-east-1:123456789012:m/m"
    text = wrong("sagemaker", "DeleteTags", ResourceArn=arn, TagKeys=["", "a"]) or ""
    assert text.startswith(
        f"1 validation error detected: Value '[, a]' at 'tagKeys' {FAILED}: Member must satisfy constraint: "
        f"[{AT_MOST} 128, Member must have length greater than or equal to 1"
    )


def test_overlong_values_are_shown_in_part_and_not_matched():
    text = wrong("sagemaker", "DescribeModel", ModelName="-" * 1_000_000) or ""
    assert len(text) < 1300


def test_payloads_are_held_to_the_services_limit_and_not_the_models():
    assert wrong("sagemaker-runtime", "InvokeEndpoint", EndpointName="e", Body=b"x" * 7_000_000) is None


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Ünï cödé 漢 1_.:/=+-@", "a*b"),
        (r"\p{ASCII}*", "plain\t~", "ü"),
        (r"\A\S[\p{Print}]*\z", "a b", " a"),
        (r"arn:[\p{Alnum}\-]+:lambda", "arn:aws-cn:lambda", "arn:a_b:lambda"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\t🙂", "a\n"),
        (r"[\w-_]*", "a-_9", "a b"),
    ],
)
def test_javas_classes_are_understood(pattern, good, bad):
    assert compiled(pattern).fullmatch(good)
    assert not compiled(pattern).fullmatch(bad)
