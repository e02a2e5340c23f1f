"""Conditional requests and ranges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.objects.base import Object
from darkroom.services.s3.conditions import byte_range, check_read, copy_range, part_range, write_condition
from darkroom.wire.messages import ServiceError

MODIFIED = datetime(2024, 5, 6, 7, 8, 9, 500_000, UTC)
SAME_SECOND = MODIFIED.replace(microsecond=0)
BEFORE, AFTER = SAME_SECOND - timedelta(seconds=1), SAME_SECOND + timedelta(seconds=1)
ITEM = Object("b", "k", 100, "abc", MODIFIED)


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 200),
        ({"IfMatch": '"abc"'}, 200),
        ({"IfMatch": "abc"}, 200),
        ({"IfMatch": "*"}, 200),
        ({"IfMatch": '"x", "abc"'}, 200),
        ({"IfMatch": '"x"'}, 412),
        ({"IfNoneMatch": '"x"'}, 200),
        ({"IfNoneMatch": '"abc"'}, 304),
        ({"IfNoneMatch": 'W/"abc"'}, 304),
        ({"IfNoneMatch": "*"}, 304),
        ({"IfModifiedSince": BEFORE}, 200),
        ({"IfModifiedSince": SAME_SECOND}, 304),
        ({"IfModifiedSince": AFTER}, 304),
        ({"IfUnmodifiedSince": BEFORE}, 412),
        ({"IfUnmodifiedSince": SAME_SECOND}, 200),
        # RFC 9110, 13.2.2: an ETag decides alone where there is one.
        ({"IfMatch": '"abc"', "IfUnmodifiedSince": BEFORE}, 200),
        ({"IfNoneMatch": '"x"', "IfModifiedSince": AFTER}, 200),
        ({"IfNoneMatch": '"abc"', "IfModifiedSince": BEFORE}, 304),
    ],
)
def test_reading(params: dict[str, Any], status: int) -> None:
    assert status_of(check_read, params, ITEM) == status


def test_a_copy_that_is_not_to_be_made_is_412_never_304() -> None:
    assert status_of(check_read, {"CopySourceIfNoneMatch": '"abc"'}, ITEM, "CopySource") == 412
    assert status_of(check_read, {"CopySourceIfModifiedSince": AFTER}, ITEM, "CopySource") == 412
    assert status_of(check_read, {"CopySourceIfMatch": '"abc"'}, ITEM, "CopySource") == 200


def status_of(call: Any, *args: Any) -> int:
    try:
        call(*args)
    except ServiceError as error:
        return error.status
    return 200


def test_writing() -> None:
    assert (write_condition({}).etag, write_condition({}).absent) == (None, False)
    assert write_condition({"IfNoneMatch": "*"}).absent
    assert write_condition({"IfMatch": '"abc"'}).etag == "abc"
    assert status_of(write_condition, {"IfNoneMatch": '"abc"'}) == 501


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-", (10, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=-700", (0, 100)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_ranges_that_hold_nothing_are_refused(header: str, size: int) -> None:
    with pytest.raises(ServiceError) as caught:
        byte_range(header, size)
    assert (caught.value.code, caught.value.status) == ("InvalidRange", 416)
    assert caught.value.headers == {"content-range": f"bytes */{size}"}


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_a_slice(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    if first <= last and first < size:
        start, stop = byte_range(f"bytes={first}-{last}", size) or (0, 0)
        assert content[start:stop] == content[first : last + 1]


def test_parts_are_ranges() -> None:
    item = Object("b", "k", 25, "e-3", MODIFIED, parts=(10, 10, 5))
    assert [part_range(number, item) for number in (1, 2, 3)] == [(0, 10), (10, 20), (20, 25)]
    assert status_of(part_range, 4, item) == 416
    assert part_range(1, ITEM) == (0, 100)


def test_ranges_of_a_copy_must_fit() -> None:
    assert copy_range(None, 10) == (0, 10)
    assert copy_range("bytes=2-9", 10) == (2, 10)
    for wrong in ("bytes=2-10", "bytes=-5", "bytes=5-", "5-6", "bytes=6-5"):
        assert status_of(copy_range, wrong, 10) == 400
