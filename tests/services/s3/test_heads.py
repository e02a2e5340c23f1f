"""Headers, metadata and tags, in and out."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from darkroom.services.s3.heads import head_of, members_of, tags_of_header, tags_of_set
from darkroom.wire.messages import ServiceError


def test_a_head_survives_json() -> None:
    params = {
        "ContentType": "image/jpeg",
        "CacheControl": "no-cache",
        "Expires": datetime(2030, 1, 1, tzinfo=UTC),
        "Metadata": {"Camera": "Leica"},
        "Key": "k",
    }
    head = json.loads(json.dumps(head_of(params)))
    assert members_of(head) == {
        "ContentType": "image/jpeg",
        "CacheControl": "no-cache",
        "Expires": datetime(2030, 1, 1, tzinfo=UTC),
        "Metadata": {"camera": "Leica"},
    }


def test_what_has_no_type_is_binary() -> None:
    assert head_of({})["ContentType"] == "binary/octet-stream"


@pytest.mark.parametrize(
    ("sent", "kept"), [("aws-chunked", None), ("gzip, aws-chunked", "gzip"), ("gzip", "gzip"), ("", None)]
)
def test_how_the_body_travelled_is_no_encoding_of_the_object(sent: str, kept: str | None) -> None:
    assert head_of({"ContentEncoding": sent}).get("ContentEncoding") == kept


def test_the_query_may_override_what_is_answered() -> None:
    head = head_of({"ContentType": "image/jpeg"})
    assert members_of(head, {"ResponseContentType": "text/plain"})["ContentType"] == "text/plain"


def test_metadata_has_a_limit() -> None:
    head_of({"Metadata": {"a": "x" * 2047}})
    with pytest.raises(ServiceError, match="MetadataTooLarge"):
        head_of({"Metadata": {"a": "x" * 2048}})


def test_tags_of_a_header() -> None:
    assert tags_of_header("a=1&b=with%20space&c=") == {"a": "1", "b": "with space", "c": ""}
    assert tags_of_header(None) == {}
    with pytest.raises(ServiceError, match="duplicates"):
        tags_of_header("a=1&a=2")


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}], "InvalidTag"),
        ([{"Key": "", "Value": "1"}], "InvalidTag"),
        ([{"Key": "k" * 129, "Value": "1"}], "InvalidTag"),
        ([{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
        ([{"Key": "aws:k", "Value": "v"}], "InvalidTag"),
        ([{"Key": str(n), "Value": "v"} for n in range(11)], "BadRequest"),
    ],
)
def test_tags_have_limits(tags: list[dict[str, Any]], code: str) -> None:
    with pytest.raises(ServiceError, match=code):
        tags_of_set(tags)
