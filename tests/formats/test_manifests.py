from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.formats.manifests import Manifest, ManifestError, Ref, parse_line, parse_manifest


def test_a_manifest_is_a_prefix_and_what_follows_it() -> None:
    text = '[{"prefix": "s3://photos/set/"}, "a.jpg", "deep/b.jpg"]'
    assert parse_manifest(text) == Manifest("photos", "set/", ("a.jpg", "deep/b.jpg"))
    assert parse_manifest(b'[{"prefix": "s3://photos"}, "a"]') == Manifest("photos", "", ("a",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("{}", "does not begin with its prefix"),
        ('["s3://photos/a"]', "does not begin with its prefix"),
        ('[{"prefix": "s3://photos/", "more": 1}, "a"]', "does not begin with its prefix"),
        ('[{"prefix": "photos/"}, "a"]', 'its prefix is "photos/", not an S3 location'),
        ('[{"prefix": 7}, "a"]', "its prefix is 7, not an S3 location"),
        ('[{"prefix": "s3://photos/set/"}]', "names no object after its prefix"),
        ('[{"prefix": "s3://photos/"}, "a", 7]', "its element 3, 7, does not name an object"),
        ('[{"prefix": "s3://photos"}, ""]', "its element 2"),
    ],
)
def test_what_is_no_manifest_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse_manifest(text)
    assert said in str(refused.value)
    assert '[{"prefix": "s3://' in str(refused.value) or "such as s3://" in str(refused.value)


def test_attributes_that_end_in_ref_name_objects_and_others_are_text() -> None:
    line = '{"source-ref": "s3://photos/a/b.jpg", "class": 3, "name": "cat", "many": [1, 0], "unasked": {}}'
    assert parse_line(line, ("source-ref", "class")) == (Ref("photos", "a/b.jpg"), "3")
    assert parse_line(line, ("many", "name", "source-ref")) == ("[1, 0]", "cat", Ref("photos", "a/b.jpg"))
    assert Ref("photos", "a/b.jpg").url == "s3://photos/a/b.jpg"


@pytest.mark.parametrize("value", ['"photos/a.jpg"', '"s3://photos"', '"s3://photos/"', '"s3:///a"', "null", "[1]"])
def test_a_ref_that_names_no_object_is_said(value: str) -> None:
    with pytest.raises(ManifestError, match=r"its attribute 'source-ref' is .*, not an S3 location"):
        parse_line('{"source-ref": ' + value + "}", ("source-ref",))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_manifest, lambda given: parse_line(given, ("source-ref",))):
        with suppress(ManifestError):  # and nothing else is raised
            parse(data)
