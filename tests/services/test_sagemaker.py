"""SageMaker through boto3: what clients send, read and match on. The executor, the store and the programs are real."""

import json
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from darkroom.control.resources import Kind
from darkroom.control.states.endpoint import State
from tests.control.platform import (
    BUCKET,
    ROLE,
    TEST_IMAGE,
    TEST_IMAGES,
    Platform,
    channel,
    client,
    serving,
    training_request,
)

pytestmark = pytest.mark.slow

BUILT_IN = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
DEADLINE_S = 240  # a machine may have others to serve for minutes


@dataclass
class Live:
    platform: Platform
    sagemaker: Any
    runtime: Any
    ledger: Path

    def train(self, name: str = "job", **changes: Any) -> dict[str, Any]:
        self.sagemaker.create_training_job(**training_request(name, **changes))
        return self.ended(name)

    def ended(self, name: str) -> dict[str, Any]:
        return until(
            lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
            lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
        )

    def secondary(self, name: str, status: str) -> dict[str, Any]:
        return until(
            lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
            lambda job: job["SecondaryStatus"] == status,
        )

    def model(self, name: str, **environment: str) -> None:
        container = {"Image": TEST_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m/model.tar.gz", "Environment": environment}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)

    def config(self, name: str, *variants: dict[str, Any]) -> None:
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants))

    def endpoint(self, name: str, *left: str) -> dict[str, Any]:
        return until(
            lambda: self.sagemaker.describe_endpoint(EndpointName=name),
            lambda endpoint: endpoint["EndpointStatus"] not in (left or ("Creating", "Updating")),
        )

    def invoke(self, name: str, **changes: Any) -> str:
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=b"photo", ContentType="image/jpeg", **changes)
        return str(answer["Body"].read().decode())


def until(look: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.01)
    return seen


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home = tmp_path_factory.mktemp("home")
    platform = Platform(home)
    platform.put("train/a.jpg")
    platform.put("m/model.tar.gz", model_archive())
    with serving(platform) as url:
        yield Live(platform, client(url), client(url, "sagemaker-runtime"), home / "ledger")
        for endpoint in platform.store.in_states(Kind.ENDPOINT, list(State)):
            platform.control.delete_endpoint(endpoint.name)
        until(platform.executor.tasks, lambda tasks: not tasks)
    platform.close()


def model_archive() -> bytes:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("weights")
        entry.size = len(b"uploaded")
        archive.addfile(entry, BytesIO(b"uploaded"))
    return packed.getvalue()


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


# ---- training jobs ----


def test_a_job_trains_and_tells_its_story(live: Live) -> None:
    created = live.sagemaker.create_training_job(**training_request("story", Tags=[{"Key": "team", "Value": "eyes"}]))
    job = live.ended("story")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed", job.get("FailureReason")
    assert (
        created["TrainingJobArn"]
        == job["TrainingJobArn"]
        == "arn:aws:sagemaker:us-east-1:000000000000:training-job/story"
    )
    told = [(t["Status"], t["StatusMessage"]) for t in job["SecondaryStatusTransitions"]]
    assert told == [
        ("Starting", "Preparing the instances for training"),
        ("Downloading", "Downloading input data"),
        ("Training", "Training image download completed. Training in progress."),
        ("Uploading", "Uploading generated training model"),
        ("Completed", "Training job completed"),
    ]
    starts = [t["StartTime"] for t in job["SecondaryStatusTransitions"]]
    assert starts == sorted(starts)
    assert all("EndTime" in t for t in job["SecondaryStatusTransitions"])
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/models/story/output/model.tar.gz"
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert live.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "eyes"}]


def test_describe_echoes_the_request_with_what_the_sdks_read_blindly(live: Live) -> None:
    request = training_request("echo")
    job = live.train("echo")
    for member in ("RoleArn", "InputDataConfig", "ResourceConfig", "StoppingCondition", "HyperParameters"):
        assert job[member] == request[member]
    assert job["OutputDataConfig"] == {"KmsKeyId": "", "S3OutputPath": f"s3://{BUCKET}/models"}
    assert [d["Name"] for d in job["AlgorithmSpecification"]["MetricDefinitions"]] == ["validation:accuracy"]


def test_the_artifact_is_what_the_program_left(live: Live) -> None:
    live.train("artifact", Environment={"LESSON": "cats"})
    objects = live.platform.objects
    item = objects.get(BUCKET, "models/artifact/output/model.tar.gz")
    with tarfile.open(fileobj=BytesIO(b"".join(objects.read(item)))) as archive:
        member = archive.extractfile("weights")
        assert member is not None
        assert member.read() == b"learned: cats"


@pytest.mark.parametrize("path", [f"s3://{BUCKET}", f"s3://{BUCKET}/", f"s3://{BUCKET}/a/b/"])
def test_every_form_of_output_path(live: Live, path: str) -> None:
    name = f"path-{len(path)}"
    job = live.train(name, OutputDataConfig={"S3OutputPath": path})
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"{path.rstrip('/')}/{name}/output/model.tar.gz"
    assert live.platform.objects.get(BUCKET, job["ModelArtifacts"]["S3ModelArtifacts"].partition(f"{BUCKET}/")[2])


def test_metrics_are_read_from_the_log(live: Live) -> None:
    specification = {
        "TrainingImage": TEST_IMAGE,
        "TrainingInputMode": "File",
        "MetricDefinitions": [
            {"Name": "epoch", "Regex": r"Epoch\[(\d+)\]"},
            {"Name": "loss", "Regex": "loss=([0-9.]+)"},
        ],
    }
    job = live.train("metrics", AlgorithmSpecification=specification)
    values = {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]}
    assert values == {"validation:accuracy": 0.75, "epoch": 1.0}
    added = [(s.name, stats.sum) for s, _, stats in live.platform.metrics.added if s.dimensions[0][1] == "metrics"]
    assert added == [("validation:accuracy", 0.25), ("epoch", 0), ("validation:accuracy", 0.75), ("epoch", 1)]
    (stream,) = live.platform.logs.streams("/aws/sagemaker/TrainingJobs", "metrics/")[0]
    lines = [e.message for e in live.platform.logs.events("/aws/sagemaker/TrainingJobs", stream.name).events]
    assert lines[-1] == "WARNING: metric 'loss' has no value: 'loss=([0-9.]+)' matched no line of this log"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"EXIT": "2", "FAILURE": "ClientError: no such class"}, "ClientError: no such class"),
        ({"EXIT": "2", "FAILURE": "no such class"}, "ClientError: no such class, exit code: 2"),
        ({"EXIT": "1", "FAILURE": "went wrong"}, "AlgorithmError: went wrong, exit code: 1"),
        ({"EXIT": "7"}, "Epoch[1] Validation-accuracy=0.750000, exit code: 7"),
        ({"RAISE": "the real cause"}, "AlgorithmError: ValueError: the real cause\nFile "),
        ({"SIGNAL": "9"}, "InternalServerError: the process was ended by SIGKILL (exit code: 137)"),
    ],
)
def test_failure_reason_holds_the_cause(live: Live, environment: dict[str, str], reason: str) -> None:
    name = "fail-" + "-".join(f"{k}{len(v)}{v[0]}" for k, v in environment.items())
    job = live.train(name, Environment=environment)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert reason in job["FailureReason"]
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job failed"


def test_stop_keeps_the_model_saved_so_far(live: Live, tmp_path: Path) -> None:
    live.sagemaker.create_training_job(**training_request("stop", Environment={"UNTIL": str(tmp_path / "never")}))
    live.secondary("stop", "Training")
    group = "/aws/sagemaker/TrainingJobs"
    until(
        lambda: live.platform.logs.streams(group, "stop/")[0],
        lambda streams: any(live.platform.logs.events(group, s.name).events for s in streams),
    )
    live.sagemaker.stop_training_job(TrainingJobName="stop")
    job = live.ended("stop")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]][-3:] == ["Stopping", "Uploading", "Stopped"]
    assert live.platform.objects.get(BUCKET, "models/stop/output/model.tar.gz")
    assert refused(lambda: live.sagemaker.stop_training_job(TrainingJobName="stop")) == (
        "ValidationException",
        "The request was rejected because the training job is in status Stopped.",
    )


def test_an_ended_job_is_deleted_and_its_name_is_free(live: Live, tmp_path: Path) -> None:
    """SDK 3 offers it: TrainingJob.delete()."""
    live.sagemaker.create_training_job(**training_request("gone", Environment={"UNTIL": str(tmp_path / "never")}))
    assert refused(lambda: live.sagemaker.delete_training_job(TrainingJobName="gone")) == (
        "ResourceInUse",
        "The training job is in status InProgress: stop it, and delete it when it has ended.",
    )
    live.sagemaker.stop_training_job(TrainingJobName="gone")
    live.ended("gone")
    live.sagemaker.delete_training_job(TrainingJobName="gone")
    assert not live.platform.executor.tasks()
    assert refused(lambda: live.sagemaker.delete_training_job(TrainingJobName="gone")) == (
        "ValidationException",
        "Requested resource not found.",
    )
    assert live.train("gone")["TrainingJobStatus"] == "Completed"


def test_a_job_that_runs_too_long_is_stopped(live: Live, tmp_path: Path) -> None:
    job = live.train(
        "long", StoppingCondition={"MaxRuntimeInSeconds": 1}, Environment={"UNTIL": str(tmp_path / "never")}
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert live.platform.objects.get(BUCKET, "models/long/output/model.tar.gz")


def test_jobs_wait_while_the_machine_is_full(live: Live, tmp_path: Path) -> None:
    go = tmp_path / "go"
    for number in range(3):
        live.sagemaker.create_training_job(**training_request(f"full-{number}", Environment={"UNTIL": str(go)}))
    waiting = live.secondary("full-2", "Pending")
    assert waiting["TrainingJobStatus"] == "InProgress"
    assert waiting["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job waiting for capacity"
    live.sagemaker.create_training_job(**training_request("full-3", Environment={"UNTIL": str(go)}))
    live.secondary("full-3", "Pending")
    live.sagemaker.stop_training_job(TrainingJobName="full-3")
    stopped = live.ended("full-3")
    assert [t["Status"] for t in stopped["SecondaryStatusTransitions"]] == [
        "Starting",
        "Pending",
        "Stopping",
        "Stopped",
    ]
    go.touch()
    assert [live.ended(f"full-{n}")["TrainingJobStatus"] for n in range(3)] == ["Completed"] * 3


def test_names_are_unique_and_unknown_ones_are_said(live: Live) -> None:
    live.train("once")
    code, said = refused(lambda: live.sagemaker.create_training_job(**training_request("once")))
    assert code == "ResourceInUse"
    assert said.startswith("Training job names must be unique within an AWS account and region")
    assert refused(lambda: live.sagemaker.describe_training_job(TrainingJobName="nobody")) == (
        "ValidationException",
        "Requested resource not found.",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"InputDataConfig": [channel("train", "s3://photos/nothing/here")]},
            'No S3 objects found under S3 URL "s3://photos/nothing/here" given in input data source. Please ensure '
            "that the bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix, and "
            f'that the role "{ROLE}" has "s3:ListBucket" permissions on bucket "photos".',
        ),
        (
            {"InputDataConfig": [channel("train", "s3://nobucket/x")]},
            'permissions on bucket "nobucket". Error message from S3: The specified bucket does not exist',
        ),
        (
            {"InputDataConfig": [channel("train", "s3://photos/e", ContentType="application/x-recordio")]},
            "s3://photos/e/x.rec",
        ),
        ({"InputDataConfig": [channel("train", "s3://photos/train", CompressionType="Gzip")]}, "CompressionType Gzip"),
        ({"InputDataConfig": [channel("a", "s3://photos/train")] * 2}, "ChannelName must be unique"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://nobucket/x"}}, "The bucket 'nobucket' of S3OutputPath"),
        (
            {"ResourceConfig": {"InstanceCount": 17, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1}},
            "InstanceCount 17 is too many: all hosts of a job run on this machine, at most 16",
        ),
        (
            {"AlgorithmSpecification": {"TrainingImage": "nobody/knows:1", "TrainingInputMode": "File"}},
            "image 'nobody/knows:1' is not offered here; offered repositories are: image-classification,",
        ),
        (
            {
                "AlgorithmSpecification": {"TrainingImage": BUILT_IN, "TrainingInputMode": "File"},
                "InputDataConfig": [channel("training", "s3://photos/train")],
            },
            "Algorithm image-classification needs the channel train. Channels given: training",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": TEST_IMAGE,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "m", "Regex": "loss"}],
                }
            },
            "has no group",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_create(live: Live, changes: dict[str, Any], said: str) -> None:
    live.platform.put("e/x.rec", b"")
    code, message = refused(lambda: live.sagemaker.create_training_job(**training_request("refused", **changes)))
    assert code == "ValidationException"
    assert said in message
    assert refused(lambda: live.sagemaker.describe_training_job(TrainingJobName="refused"))[0] == "ValidationException"


def test_an_entry_point_of_the_request_is_honoured(live: Live) -> None:
    script = "cat ${SAGEMAKER_BASE_DIR:-/opt/ml}/input/config/*.json; echo; echo $TRAINING_JOB_NAME"
    specification = {
        "TrainingImage": TEST_IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", script],
    }
    job = live.train("entry", AlgorithmSpecification=specification)
    (stream,) = live.platform.logs.streams("/aws/sagemaker/TrainingJobs", "entry/")[0]
    lines = [e.message for e in live.platform.logs.events("/aws/sagemaker/TrainingJobs", stream.name).events]
    assert job["TrainingJobStatus"] == "Completed"
    assert lines[-1] == "entry"
    assert any('"current_host": "algo-1"' in line for line in lines)


def test_update_training_job_changes_what_describe_says(live: Live, tmp_path: Path) -> None:
    go = tmp_path / "go"
    live.sagemaker.create_training_job(**training_request("update", Environment={"UNTIL": str(go)}))
    live.sagemaker.update_training_job(TrainingJobName="update", ProfilerConfig={"DisableProfiler": True})
    assert live.sagemaker.describe_training_job(TrainingJobName="update")["ProfilerConfig"] == {"DisableProfiler": True}
    go.touch()
    assert live.ended("update")["TrainingJobStatus"] == "Completed"


# ---- listing and tags ----


def test_listing_filters_sorts_and_pages(live: Live) -> None:
    for name in ("list-b", "list-a", "list-c"):
        live.model(name)
    pages = live.sagemaker.get_paginator("list_models").paginate(
        NameContains="list-", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    assert [[m["ModelName"] for m in page["Models"]] for page in pages] == [["list-a", "list-b"], ["list-c"]]
    newest = live.sagemaker.list_models(NameContains="list-")["Models"]
    assert [m["ModelName"] for m in newest] == ["list-c", "list-a", "list-b"]
    later = live.sagemaker.list_models(NameContains="list-", CreationTimeAfter=newest[1]["CreationTime"])["Models"]
    assert "list-b" not in [m["ModelName"] for m in later]
    assert refused(lambda: live.sagemaker.list_models(NextToken="made up"))[0] == "ValidationException"


def test_training_jobs_are_listed_by_status(live: Live) -> None:
    live.train("listed-good")
    live.train("listed-bad", Environment={"EXIT": "1"})
    failed = live.sagemaker.list_training_jobs(NameContains="listed-", StatusEquals="Failed")["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in failed] == ["listed-bad"]
    assert failed[0]["TrainingEndTime"] >= failed[0]["CreationTime"]
    assert live.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available")["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([("HyperParameters.rate", "GreaterThan", "0.5")], ["search-2"]),
        ([("Tags.team", "Equals", "eyes")], ["search-1", "search-2"]),
        ([("EnableNetworkIsolation", "Equals", "false")], ["search-1", "search-2"]),
        ([("EnableNetworkIsolation", "In", "true")], []),
        ([("Metrics.validation:accuracy", "LessThan", "0.8"), ("TrainingJobName", "Contains", "-1")], ["search-1"]),
        (
            [("TrainingJobStatus", "In", "Failed, Completed"), ("HyperParameters.rate", "Exists", "")],
            ["search-1", "search-2"],
        ),
        ([("CreationTime", "GreaterThan", "2100-01-01T00:00:00Z")], []),
        ([("FailureReason", "NotExists", ""), ("HyperParameters.rate", "NotEquals", "0.1")], ["search-2"]),
    ],
)
def test_search_finds_jobs_by_what_they_were_and_became(
    live: Live, searchable: None, filters: list[tuple[str, str, str]], found: list[str]
) -> None:
    conditions = [{"Name": n, "Operator": o} | ({"Value": v} if v else {}) for n, o, v in filters]
    conditions.append({"Name": "TrainingJobName", "Operator": "Contains", "Value": "search-"})
    answer = live.sagemaker.search(
        Resource="TrainingJob",
        SearchExpression={"Filters": conditions},
        SortBy="HyperParameters.rate",
        SortOrder="Ascending",
    )
    assert [r["TrainingJob"]["TrainingJobName"] for r in answer["Results"]] == found
    assert answer["TotalHits"]["Value"] == len(found)


@pytest.fixture(scope="module")
def searchable(live: Live) -> None:
    tags = [{"Key": "team", "Value": "eyes"}]
    live.train("search-1", HyperParameters={"rate": "0.1"}, Tags=tags)
    live.train("search-2", HyperParameters={"rate": "0.9"}, Tags=tags)


def test_tags_are_added_changed_and_deleted(live: Live) -> None:
    live.model("tagged")
    arn = live.sagemaker.describe_model(ModelName="tagged")["ModelArn"]
    live.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    answer = live.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    assert answer["Tags"] == [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    live.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert live.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]


# ---- models, configurations, endpoints ----


def test_models_say_what_is_wrong_with_them(live: Live) -> None:
    def create(**container: Any) -> tuple[str, str]:
        return refused(lambda: live.sagemaker.create_model(ModelName="wrong", PrimaryContainer=container))

    assert (
        "Could not find model data at s3://photos/no/model.tar.gz"
        in create(Image=TEST_IMAGE, ModelDataUrl="s3://photos/no/model.tar.gz")[1]
    )
    assert (
        "must name a gzip-compressed tar archive" in create(Image=TEST_IMAGE, ModelDataUrl="s3://photos/train/a.jpg")[1]
    )
    assert "is not offered here" in create(Image="who/knows")[1]
    live.model("twice")
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model/twice"
    assert refused(lambda: live.model("twice")) == (
        "ValidationException",
        f'Cannot create already existing model "{arn}".',
    )
    live.sagemaker.delete_model(ModelName="twice")
    assert refused(lambda: live.sagemaker.describe_model(ModelName="twice")) == (
        "ValidationException",
        f'Could not find model "{arn}".',
    )
    live.model("twice")


def test_configurations_name_what_is_missing(live: Live) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    assert refused(lambda: live.config("c", variant("v", "nomodel"))) == (
        "ValidationException",
        f'Could not find model "{arn}:model/nomodel".',
    )
    assert refused(lambda: live.sagemaker.describe_endpoint_config(EndpointConfigName="noconfig")) == (
        "ValidationException",
        f'Could not find endpoint configuration "{arn}:endpoint-config/noconfig".',
    )
    assert refused(lambda: live.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="noconfig")) == (
        "ValidationException",
        f'Could not find endpoint configuration "{arn}:endpoint-config/noconfig".',
    )
    assert refused(lambda: live.sagemaker.describe_endpoint(EndpointName="noendpoint")) == (
        "ValidationException",
        f'Could not find endpoint "{arn}:endpoint/noendpoint".',
    )


def variant(name: str, model: str, **changes: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.c5.xlarge",
        "InitialVariantWeight": 1.0,
    } | changes


def test_an_endpoint_serves_is_updated_and_deleted(live: Live) -> None:
    live.model("blue", MARK="blue")
    live.model("green", MARK="green")
    live.config("blue", variant("AllTraffic", "blue"))
    live.config("green", variant("AllTraffic", "green"))
    created = live.sagemaker.create_endpoint(EndpointName="served", EndpointConfigName="blue")
    endpoint = live.endpoint("served")
    assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
    assert endpoint["EndpointArn"] == created["EndpointArn"]
    assert endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert live.invoke("served") == "uploaded [blue]"
    live.sagemaker.update_endpoint(EndpointName="served", EndpointConfigName="green")
    answers = set()
    while (state := live.sagemaker.describe_endpoint(EndpointName="served"))["EndpointStatus"] == "Updating":
        assert state["EndpointConfigName"] == "blue"
        answers.add(live.invoke("served"))
    assert answers <= {"uploaded [blue]", "uploaded [green]"}
    assert state["EndpointConfigName"] == "green"
    assert live.invoke("served") == "uploaded [green]"
    live.sagemaker.delete_endpoint(EndpointName="served")
    live.sagemaker.create_endpoint(EndpointName="served", EndpointConfigName="blue")  # waits for the old one to leave
    assert live.endpoint("served")["EndpointStatus"] == "InService"
    assert live.invoke("served") == "uploaded [blue]"


def test_an_update_that_fails_is_rolled_back(live: Live) -> None:
    live.model("sound", MARK="sound")
    live.model("broken", RAISE="cannot load")
    live.config("sound", variant("AllTraffic", "sound"))
    live.config("broken", variant("AllTraffic", "broken"))
    live.sagemaker.create_endpoint(EndpointName="rolled", EndpointConfigName="sound")
    live.endpoint("rolled")
    live.sagemaker.update_endpoint(EndpointName="rolled", EndpointConfigName="broken")
    endpoint = live.endpoint("rolled")
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "sound")
    assert "ValueError: cannot load" in endpoint["FailureReason"]
    assert live.invoke("rolled") == "uploaded [sound]"


def test_an_endpoint_whose_program_fails_says_why(live: Live) -> None:
    live.model("fails", RAISE="cannot load")
    live.config("fails", variant("AllTraffic", "fails"))
    live.sagemaker.create_endpoint(EndpointName="fails", EndpointConfigName="fails")
    endpoint = live.endpoint("fails")
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health check."
    )
    assert "ValueError: cannot load" in endpoint["FailureReason"]
    live.sagemaker.delete_endpoint(EndpointName="fails")
    until(lambda: live.platform.store.in_states(Kind.ENDPOINT, ["deleting"]), lambda leaving: not leaving)
    assert refused(lambda: live.sagemaker.describe_endpoint(EndpointName="fails"))[0] == "ValidationException"


def test_variants_share_requests_by_weight(live: Live) -> None:
    live.model("one", MARK="one")
    live.model("two", MARK="two")
    live.config("both", variant("v1", "one"), variant("v2", "two"))
    live.sagemaker.create_endpoint(EndpointName="shared", EndpointConfigName="both")
    live.endpoint("shared")
    assert {live.invoke("shared") for _ in range(4)} == {"uploaded [one]", "uploaded [two]"}
    assert live.invoke("shared", TargetVariant="v2") == "uploaded [two]"
    wishes = [{"VariantName": "v1", "DesiredWeight": 0}, {"VariantName": "v2", "DesiredInstanceCount": 2}]
    live.sagemaker.update_endpoint_weights_and_capacities(EndpointName="shared", DesiredWeightsAndCapacities=wishes)
    endpoint = live.endpoint("shared")
    shown = {v["VariantName"]: (v["CurrentWeight"], v["CurrentInstanceCount"]) for v in endpoint["ProductionVariants"]}
    assert shown == {"v1": (0, 1), "v2": (1, 2)}
    assert {live.invoke("shared") for _ in range(4)} == {"uploaded [two]"}


def test_a_crashed_worker_is_replaced(live: Live) -> None:
    live.model("killed", LEDGER=str(live.ledger))
    live.config("killed", variant("AllTraffic", "killed"))
    live.sagemaker.create_endpoint(EndpointName="killed", EndpointConfigName="killed")
    live.endpoint("killed")
    (first,) = [t for t in live.platform.executor.tasks() if t.startswith("killed-")]
    live.platform.executor.stop(first, 0)
    until(
        lambda: live.platform.routes.find("killed").variants[0].sockets,
        lambda sockets: sockets and live.platform.executor.observe(first).phase == "absent",
    )
    assert live.invoke("killed") == "uploaded []"
    assert live.sagemaker.describe_endpoint(EndpointName="killed")["EndpointStatus"] == "InService"


def test_a_job_is_described_after_its_image_is_gone(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.train("described")
    monkeypatch.delitem(TEST_IMAGES, "test-program")
    assert live.sagemaker.describe_training_job(TrainingJobName="described")["TrainingJobStatus"] == "Completed"
    assert live.sagemaker.list_training_jobs(NameContains="described")["TrainingJobSummaries"]


def test_every_described_member_survives_the_wire(live: Live) -> None:
    job = live.train("whole", VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}, EnableNetworkIsolation=True)
    assert job["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}
    assert job["EnableNetworkIsolation"] is True
    assert json.loads(json.dumps(job, default=str))
