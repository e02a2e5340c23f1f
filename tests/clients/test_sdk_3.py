"""SDK 3 beside ModelTrainer: the resources of sagemaker-core. See flows/sdk_3.py."""

import pytest

from tests.clients.conftest import Answers, Flow
from tests.clients.test_sdk_1 import BUCKET

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def said(flow: Flow) -> Answers:
    return flow("sdk_3", "sdk3", 3)


def test_a_job_trains_and_is_found_again(said: Answers) -> None:
    assert said["upload"].value == [f"s3://{BUCKET}/sdk3/{name}.rec" for name in ("train", "validation")]
    artifact = f"s3://{BUCKET}/sdk3/output/sdk3-small/output/model.tar.gz"
    assert said["train"].value == ["Completed", "Completed", artifact]
    found = said["get_and_refresh"].value
    assert found["status"] == found["transitions"][-1] == "Completed"
    assert 0 <= found["metrics"]["validation:accuracy"] <= 1
    assert said["wait_prints_the_logs"].value is None
    listed = said["get_all"].value
    assert listed["by_name"] == ["sdk3-small"]
    assert "sdk3-small" in listed["completed"]
    assert "sdk3-small" not in listed["failed"]


def test_training_goes_on_from_an_earlier_model(said: Answers) -> None:
    assert said["incremental_training"].value == "Completed"


def test_a_failed_job_says_why(said: Answers) -> None:
    error = said["a_failed_job"].error
    assert error.startswith("FailedStatusError: ")
    assert "Failure Reason: ClientError: The value '19' is not valid for the 'num_layers'" in error


def test_a_job_is_stopped_and_deleted(said: Answers) -> None:
    assert said["stop"].value == "Stopped"
    assert said["delete_a_job"].value == []
    assert said["a_job_that_is_not_there"].error.endswith(
        "DescribeTrainingJob operation: Requested resource not found."
    )


def test_an_endpoint_lives(said: Answers) -> None:
    assert sum(said["deploy"].value) == pytest.approx(1, abs=1e-5)
    found = said["get_all_that_serves"].value
    assert found["endpoints"] == ["sdk3-e"]
    assert "sdk3-e" in found["in_service"]
    assert (found["models"], found["configs"]) == (["sdk3-m"], ["sdk3-e", "sdk3-f"])
    assert said["update"].value == ["sdk3-f", 2.0]
    assert "these 8 bytes are not an image" in said["what_is_no_photo_is_refused"].error
    assert said["delete"].value == [0, 0, 0]
    assert said["an_endpoint_that_is_gone"].error.endswith("Endpoint sdk3-e of account 000000000000 not found.")
    assert "Could not find model" in said["a_model_that_is_gone"].error


def test_model_builder_deploys_an_artifact(said: Answers) -> None:
    assert said["model_builder"].value == said["deploy"].value


def test_tags_are_added(said: Answers) -> None:
    assert said["tags"].value == {"all": {"kept": "yes", "team": "photos"}, "boto3": 2}


def test_two_hosts_train_with_checkpoints(said: Answers) -> None:
    assert said["two_hosts_with_checkpoints"].value == ["Completed", "kept", 2]
