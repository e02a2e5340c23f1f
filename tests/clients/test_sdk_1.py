"""SDK 1.72.1 as notebooks use it beside the published ones: see flows/sdk_1.py."""

import pytest

from tests.clients.conftest import ROLE, Answers, Flow

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(600)]
BUCKET = "sagemaker-us-east-1-000000000000"


@pytest.fixture(scope="module")
def said(flow: Flow) -> Answers:
    return flow("sdk_1", "sdk1", 1)


def test_role_and_bucket_are_found(said: Answers) -> None:
    assert said["role_of_this_notebook"].value == ROLE
    assert said["the_default_bucket_is_made_once"].value == [BUCKET, BUCKET]


def test_files_go_up_and_come_back(said: Answers) -> None:
    rec = [f"s3://{BUCKET}/sdk1/data/{name}.rec" for name in ("train", "validation")]
    assert said["upload"].value == rec
    found = said["a_folder_goes_up_and_comes_back"].value
    assert len(found["listed"]) == 20
    assert [f"sdk1/classes/car/{name}" for name in found["back"]] == found["listed"][:10]
    assert found["by_downloader"] == [f"s3://{BUCKET}/sdk1/one/{name}" for name in ("test.jpg", "words.txt")]
    assert found["words"] == "hello"


def test_a_job_trains_without_waiting(said: Answers) -> None:
    step = said["train_without_waiting"]
    assert (step.value["status"], step.value["mode"]) == ("Completed", "File")
    assert step.value["role"] == ROLE, "a role's bare name stands for its ARN"
    assert step.printed.rstrip().endswith("Completed - Training job completed")


def test_logs_and_metrics_of_an_ended_job(said: Answers) -> None:
    printed = said["logs_of_a_job_that_is_over"].printed
    assert "Docker entrypoint called with argument(s): train" in printed
    assert "Epoch[1] Validation-accuracy=" in printed
    assert "Training seconds:" in printed
    table = dict(said["metrics_as_a_table"].value)
    assert {"train:accuracy", "validation:accuracy"} <= table.keys()
    assert 0 <= table["validation:accuracy"] <= 1


def test_a_job_is_attached(said: Answers) -> None:
    found = said["attach"].value
    assert found["hyperparameters"]["image_shape"] == "3,28,28"
    assert found["model_data"].startswith(f"s3://{BUCKET}/sdk1/output/image-classification-")
    assert found["tags"] == found["listed_tags"] == [{"Key": "team", "Value": "photos"}]


def test_an_endpoint_lives(said: Answers) -> None:
    """Deployed from an attached estimator, updated in place, deleted, deployed again under its name, gone."""
    first = said["deploy_an_attached_estimator"].value["probabilities"]
    assert sum(first) == pytest.approx(1, abs=1e-5)
    verbose = said["initial_args_ask_for_another_answer"].value
    assert verbose["probabilities"] == first
    updated = said["update_in_place"].value
    assert (updated["status"], updated["changed"], updated["probabilities"]) == ("InService", True, first)
    assert said["delete_and_deploy_again_under_the_same_name"].value == first
    gone = said["an_endpoint_that_is_gone"].error
    assert "calling the InvokeEndpoint operation: Endpoint image-classification-" in gone
    assert gone.endswith("of account 000000000000 not found.")
    assert 'Could not find model "arn:aws:sagemaker:us-east-1:000000000000:model/' in said["a_model_that_is_gone"].error


def test_what_is_no_photo_is_named(said: Answers) -> None:
    error = said["what_is_no_photo_is_refused"].error
    assert error.startswith("ModelError: An error occurred (ModelError) when calling the InvokeEndpoint operation: ")
    assert "these 8 bytes are not an image; they start with b'no photo'" in error


def test_training_goes_on_from_an_earlier_model(said: Answers) -> None:
    assert said["incremental_training"].value == "Completed"


def test_a_failed_job_says_why(said: Answers) -> None:
    found = said["a_failed_job"].value
    assert found["actual"] == "Failed"
    assert "Failed. Reason: ClientError: The value '19' is not valid for the 'num_layers'" in found["text"]
    assert "'18', '34', '50'" in found["text"]
    error = said["a_batch_larger_than_the_photos"].error
    assert "The train channel has 16 images and mini_batch_size is 64" in error


def test_what_cannot_start_is_refused_at_once(said: Answers) -> None:
    assert f'No S3 objects found under S3 URL "s3://{BUCKET}/nowhere/"' in said["nothing_under_the_prefix"].error
    assert said["the_same_job_name_twice"].error.startswith("ResourceInUse: ")


def test_a_job_is_stopped(said: Answers) -> None:
    assert said["stop"].value == "Stopped"
    assert said["stop_what_is_over"].error.endswith("rejected because the training job is in status Completed.")


def test_two_hosts_train_with_checkpoints(said: Answers) -> None:
    """The logs of both hosts are printed; what the job saved lies where it was asked to."""
    printed = said["two_hosts_with_checkpoints"].printed
    assert printed.count("Epoch[1] Validation-accuracy=") == 2
    assert "Managed Spot Training savings" in printed
    assert any(name.startswith("darkroom-checkpoint-") for name in said["two_hosts_with_checkpoints"].value)
