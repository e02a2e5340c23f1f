"""boto3 1.34.162, which still speaks what newer ones no longer do: see flows/boto3_old.py."""

import pytest

from tests.clients.conftest import ROLE, Answers, Flow

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def said(flow: Flow, artifact: str) -> Answers:
    return flow("boto3_old", "boto3-old", None, artifact)


def test_who_it_is(said: Answers) -> None:
    assert said["who_am_i"].value == ROLE


def test_objects_without_checksums(said: Answers) -> None:
    assert "of-an-old-boto3" in said["bucket"].value
    assert said["put_and_get"].value == {"etag": True, "same": True, "metadata": {"camera": "old"}, "head": True}
    large = said["multipart_and_ranges"].value
    assert large["same"] is True
    assert large["etag"].endswith('-2"')
    assert large["range"] == [[255, 0, 1], "bytes 255-257/9437184"]
    assert said["copy_and_delete"].value == {
        "listed": ["copies/large.bin", "copies/photo.jpg"],
        "folders": ["a key/", "copies/"],
        "top": ["large.bin"],
        "gone": ["copies/large.bin", "copies/photo.jpg"],
        "left": 0,
    }
    assert said["every_page_of_a_listing"].value == [["pages/0", "pages/1"], ["pages/2", "pages/3"], ["pages/4"]]
    assert said["a_presigned_link"].value == "x"
    assert said["a_key_that_is_not_there"].error.startswith("NoSuchKey: ")


def test_metrics_by_the_query_protocol(said: Answers) -> None:
    found = said["metrics"].value
    assert found["statistics"] == [[2.0, 3.0, "None"]]
    assert found["data"] == [4.0]
    assert found["listed"] == [["m", [{"Name": "job", "Value": "old"}]]]
    assert said["a_period_that_is_refused"].error.endswith("Period must be 1, 5, 10, 30 or a multiple of 60.")


def test_waiters_see_the_end(said: Answers) -> None:
    found = said["waiters"].value
    assert 'matched expected path: "Failed"' in found["failed"]
    assert sum(found["answer"]) == pytest.approx(1, abs=1e-5)
    lines = said["logs_of_a_job"].value
    assert any("The value '19' is not valid for the 'num_layers'" in line for line in lines)


def test_what_is_not_offered_is_not_tried_again(said: Answers) -> None:
    error = said["an_operation_that_is_not_offered"].error
    assert "ListNotebookInstances is not offered by Darkroom" in error
    assert "reached max retries" not in error
