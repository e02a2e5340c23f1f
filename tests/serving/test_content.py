import pytest

from darkroom.serving.content import IMAGE, JSON, NUMPY, Refused, kind_of_body
from tests.imaging.pictures import file_of, scene

PHOTO = file_of(scene(), "JPEG")
NPY = b"\x93NUMPY\x01\x00"


@pytest.mark.parametrize(
    "declared",
    ["application/x-image", "image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", None, "", "application/json"],
)
def test_a_photo_is_taken_whatever_it_is_called(declared):
    assert kind_of_body(declared, PHOTO) == IMAGE


@pytest.mark.parametrize("declared", ["application/x-image", "image/jpeg", "image/webp"])
def test_what_calls_itself_a_photo_is_for_the_decoder_to_judge(declared):
    assert kind_of_body(declared, b"1,2,3") == IMAGE


@pytest.mark.parametrize("declared", ["application/x-npy", "application/octet-stream", None, "application/json"])
def test_an_array_of_numpy_is_taken_whatever_it_is_called(declared):
    assert kind_of_body(declared, NPY) == NUMPY


def test_json_is_what_is_called_so():
    assert kind_of_body("application/json; charset=utf-8", b"[1]") == JSON
    assert kind_of_body("application/vnd+python.numpy+binary", b"[1]") == NUMPY


@pytest.mark.parametrize("declared", ["text/csv", "application/x-recordio", None])
def test_anything_else_is_refused_with_what_is_accepted(declared):
    with pytest.raises(Refused, match="Accepted content types are: application/x-image, image/jpeg, image/png") as no:
        kind_of_body(declared, b"1,2,3")
    assert no.value.status == 415
