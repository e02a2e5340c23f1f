"""SDK 2 as notebooks use it beside the published ones: see flows/sdk_2.py."""

import pytest

from tests.clients.conftest import ROLE, Answers, Flow
from tests.clients.test_sdk_1 import BUCKET

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def said(flow: Flow) -> Answers:
    return flow("sdk_2", "sdk2", 2)


def test_role_and_buckets_are_found(said: Answers) -> None:
    assert said["role_of_this_notebook"].value == ROLE
    assert said["the_default_bucket_is_made_once"].value == [BUCKET, BUCKET]
    assert said["a_default_bucket_of_another_name"].value == ["photos-of-sdk-2", "photos-of-sdk-2"]


def test_files_go_up_and_come_back(said: Answers) -> None:
    assert said["upload"].value == [f"s3://{BUCKET}/sdk2/data/{name}.rec" for name in ("train", "validation")]
    found = said["a_folder_goes_up_and_comes_back"].value
    assert len(found["listed"]) == 20
    assert [f"sdk2/classes/car/{name}" for name in found["back"]] == found["listed"][:10]
    assert found["by_downloader"] == [f"s3://{BUCKET}/sdk2/one/{name}" for name in ("test.jpg", "words.txt")]
    assert found["downloaded"] == ["test.jpg", "words.txt"]
    assert found["words"] == found["read_by_session"] == "hello"


def test_what_the_sdk_sends_on_its_own_is_accepted_and_described(said: Answers) -> None:
    """Debugger and profiler settings on every job; spot training, retries and a variable on request."""
    found = said["train_without_waiting"].value
    output = f"s3://{BUCKET}/sdk2/output"
    assert found == {
        "status": "Completed",
        "role": ROLE,
        "ProfilerConfig": {"S3OutputPath": output, "DisableProfiler": False},
        "DebugHookConfig": {"S3OutputPath": output, "CollectionConfigurations": []},
        "EnableManagedSpotTraining": True,
        "RetryStrategy": {"MaximumRetryAttempts": 2},
        "Environment": {"TEAM": "photos"},
    }


def test_logs_and_metrics_of_an_ended_job(said: Answers) -> None:
    printed = said["logs_of_a_job_that_is_over"].printed
    assert "Epoch[1] Validation-accuracy=" in printed
    assert "Billable seconds:" in printed
    table = dict(said["metrics_as_a_table"].value)
    assert {"train:accuracy", "validation:accuracy"} <= table.keys()


def test_a_job_is_attached_and_tagged(said: Answers) -> None:
    found = said["attach"].value
    assert found["hyperparameters"]["num_layers"] == "20"
    assert found["model_data"].startswith(f"s3://{BUCKET}/sdk2/output/image-classification-")
    assert found["listed_tags"] == [{"Key": "kept", "Value": "yes"}, {"Key": "team", "Value": "photos"}]


def test_an_endpoint_lives(said: Answers) -> None:
    """Deployed from an attached estimator, deleted, deployed again under its name, updated, deleted."""
    first = said["deploy_an_attached_estimator"].value
    assert sum(first) == pytest.approx(1, abs=1e-5)
    assert said["delete_and_deploy_again_under_the_same_name"].value == first
    assert said["update_endpoint"].value == {"status": "InService", "changed": True, "probabilities": first}
    assert said["delete_all_of_it"].value is None


def test_every_serializer_gets_its_answer(said: Answers) -> None:
    first, found = said["deploy_an_attached_estimator"].value, said["serializers_of_every_kind"].value
    assert (
        found["json"] == found["content_type_given_by_initial_args"] == found["initial_args"]["probabilities"] == first
    )
    assert said["bytes_without_a_type_are_looked_at"].value == first
    assert "these 8 bytes are not an image" in said["what_is_no_photo_is_refused"].error


def test_two_variants_share_the_traffic_by_weight(said: Answers) -> None:
    assert said["two_variants_share_the_traffic"].value == {
        "status": "InService",
        "both": ["a", "b"],
        "after": ["b"],
        "targeted": "a",
        "weights": {"a": [0.0, 0.0], "b": [1.0, 1.0]},
        "tags": [{"Key": "team", "Value": "photos"}],
    }


def test_a_model_made_twice_is_the_same_model(said: Answers) -> None:
    assert said["the_same_model_name_twice"].value == ["twice", "twice"]


def test_training_goes_on_from_an_earlier_model(said: Answers) -> None:
    assert said["incremental_training"].value == "Completed"


def test_a_failed_job_says_why(said: Answers) -> None:
    found = said["a_failed_job"].value
    assert found["actual"] == "Failed"
    assert "Failed. Reason: ClientError: The value '19' is not valid for the 'num_layers'" in found["text"]


def test_what_cannot_start_is_refused_at_once(said: Answers) -> None:
    assert "sagemaker-xgboost:1.5-1' is not offered here" in said["an_image_that_is_not_offered"].error
    assert "The bucket 'no-such-bucket-of-mine' of S3OutputPath" in said["an_output_bucket_that_is_not_there"].error
    nowhere = f'No S3 objects found under S3 URL "s3://{BUCKET}/nowhere/"'
    assert nowhere in said["a_file_for_a_channel_that_is_not_there"].error


def test_a_running_job_is_changed_and_stopped(said: Answers) -> None:
    found = said["change_a_running_job_and_stop_it"].value
    assert found == {
        "status": "Stopped",
        "hook": None,
        "profiler": [
            {"DisableProfiler": True},
            {"DisableProfiler": False, "S3OutputPath": f"s3://{BUCKET}/sdk2/output"},
        ],
    }
    assert said["stop_what_is_over"].error.endswith("rejected because the training job is in status Completed.")


def test_two_hosts_train_with_checkpoints(said: Answers) -> None:
    """The logs of both hosts are printed; what the job saved lies where it was asked to."""
    printed = said["two_hosts_with_checkpoints"].printed
    assert printed.count("Epoch[1] Validation-accuracy=") == 2
    assert "Managed Spot Training savings" in printed
    assert any(name.startswith("darkroom-checkpoint-") for name in said["two_hosts_with_checkpoints"].value)
