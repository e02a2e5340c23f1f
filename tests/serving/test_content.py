import pytest

from darkroom.serving.content import Refused, check_content
from tests.imaging.pictures import file_of, scene

PHOTO = file_of(scene(), "JPEG")


@pytest.mark.parametrize(
    "declared",
    ["application/x-image", "image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", None, "", "application/json"],
)
def test_a_photo_is_taken_whatever_it_is_called(declared):
    check_content(declared, PHOTO)


@pytest.mark.parametrize("declared", ["application/x-image", "image/jpeg", "image/webp"])
def test_what_calls_itself_a_photo_is_for_the_decoder_to_judge(declared):
    check_content(declared, b"1,2,3")


@pytest.mark.parametrize("declared", ["text/csv", "application/json", "application/x-recordio", None])
def test_anything_else_is_refused_with_what_is_accepted(declared):
    with pytest.raises(Refused, match="Accepted content types are: application/x-image, image/jpeg, image/png") as no:
        check_content(declared, b"1,2,3")
    assert no.value.status == 415
