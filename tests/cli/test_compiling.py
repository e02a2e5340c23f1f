import pytest

from darkroom.cli import compiling
from darkroom.cli.console import Failure

JOB = {
    "TrainingJobName": "first",
    "TrainingJobStatus": "Completed",
    "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/first/output/model.tar.gz"},
    "HyperParameters": {"image_shape": "3,96,96"},
}


class Nobody:
    role = "arn:aws:iam::000000000000:role/me"


def wanted(job=JOB, options=None, output=None):
    return compiling.request(Nobody(), job, "first-ml-c5", "ml_c5", options or {}, output)


def test_the_request_is_what_an_sdk_would_send():
    assert wanted() == {
        "CompilationJobName": "first-ml-c5",
        "RoleArn": Nobody.role,
        "InputConfig": {
            "S3Uri": "s3://bucket/first/output/model.tar.gz",
            "DataInputConfig": '{"data": [1, 3, 96, 96]}',
            "Framework": "MXNET",
        },
        "OutputConfig": {"S3OutputLocation": "s3://bucket/first/output/first-ml-c5", "TargetDevice": "ml_c5"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def test_only_options_that_were_given_are_sent():
    output = wanted(options={"dtype": "bf16", "accuracy_tolerance": None}, output="s3://other/place")["OutputConfig"]
    assert output["S3OutputLocation"] == "s3://other/place"
    assert output["CompilerOptions"] == '{"dtype": "bf16"}'


def test_a_job_without_a_model_cannot_be_compiled():
    with pytest.raises(Failure, match="first has no model to compile \\(it is InProgress\\)"):
        wanted(JOB | {"ModelArtifacts": {}, "TrainingJobStatus": "InProgress"})


@pytest.mark.parametrize(
    ("job", "device", "dtype", "expected"),
    [
        ("first", "ml_c5", None, "first-ml-c5"),
        ("first", "jetson_nano", "fp16", "first-jetson-nano-fp16"),
        ("a" * 63, "ml_c5", None, "a" * 57 + "-ml-c5"),
        ("a" * 56 + "-bcdefg", "ml_c5", None, "a" * 56 + "-ml-c5"),
    ],
)
def test_names_of_jobs_are_cut_to_what_sagemaker_takes(job, device, dtype, expected):
    assert compiling.default_name(job, device, dtype) == expected
    assert len(expected) <= 63


def test_this_machine_is_a_device_of_its_instructions():
    assert (compiling.this_machine("x86_64"), compiling.this_machine("aarch64")) == ("ml_c5", "ml_c6g")


def test_the_verdict_in_words():
    found = {"accuracy_reference": 0.9375, "accuracy": 0.93, "photos": 48, "agreement": 0.979, "logit_error": 0.021}
    report = {"dtype": "int8", "kept_in_float": ["a", "b"], "verdict": found | {"reason": "0.1 may be lost"}}
    assert compiling.verdict(report) == [
        ("type", "int8, with 2 layers in fp32"),
        ("accuracy", "93.00%, and 93.75% before, on 48 photos"),
        ("agrees", "97.9% of answers are the same, logit error 2.1%"),
        ("verdict", "0.1 may be lost"),
    ]
    without = {"dtype": "fp32", "verdict": None}
    assert compiling.verdict(without) == [("type", "fp32"), ("accuracy", "not measured: no photos were at hand")]
    whole = without | {"dtype": "bf16", "computed_in": "int16"}
    assert compiling.verdict(whole)[0] == ("type", "bf16, computed in int16 on this processor")
    assert compiling.verdict(whole | {"computed_in": "bf16"})[0] == ("type", "bf16")


def test_a_line_of_the_log_is_shown_without_its_prefix():
    assert compiling.said("[11/21/2026 04:08:00 INFO 140] Calibrated 41 tensors") == "Calibrated 41 tensors"
