"""Which parts are joined, and how."""

import hashlib
from datetime import UTC, datetime

import pytest

from darkroom.errors import Conflict, Invalid, NotFound
from darkroom.objects.base import Part
from darkroom.objects.multipart import choose_parts, contiguous, multipart_etag
from darkroom.objects.names import StoredPart

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def stored(number: int, size: int = 10, etag: str = "e") -> StoredPart:
    return StoredPart(Part(number, size, etag, MOMENT), "1-1", 0)


def test_the_named_parts_are_chosen() -> None:
    parts = [stored(1), stored(2), stored(5, size=1)]
    assert choose_parts(parts, [(2, "e"), (5, "e")], 10) == [parts[1], parts[2]]


@pytest.mark.parametrize("wanted", [[], [(2, "e"), (1, "e")], [(1, "e"), (1, "e")]])
def test_none_and_disorder_are_refused(wanted: list[tuple[int, str]]) -> None:
    with pytest.raises(Invalid):
        choose_parts([stored(1), stored(2)], wanted, 10)


@pytest.mark.parametrize("wanted", [(3, "e"), (1, "other")])
def test_parts_that_are_not_there_are_named(wanted: tuple[int, str]) -> None:
    with pytest.raises(NotFound) as caught:
        choose_parts([stored(1)], [wanted], 10)
    assert (caught.value.kind, caught.value.name) == ("part", str(wanted[0]))


def test_all_but_the_last_have_a_least_size() -> None:
    with pytest.raises(Conflict, match="part 1 has 9 bytes"):
        choose_parts([stored(1, 9), stored(2, 1)], [(1, "e"), (2, "e")], 10)
    assert choose_parts([stored(1, 9)], [(1, "e")], 10)


@pytest.mark.parametrize(
    ("extents", "whole"),
    [
        ([("f", 0, 5), ("f", 5, 5), ("f", 10, 1)], True),
        ([("f", 5, 5)], False),
        ([("f", 0, 5), ("f", 6, 5)], False),
        ([("f", 0, 5), ("g", 5, 5)], False),
    ],
)
def test_extents_that_follow_each_other_need_no_copy(extents: list[tuple[str, int, int]], whole: bool) -> None:
    assert contiguous(extents, "f") is whole


def test_the_etag_of_the_whole() -> None:
    md5s = [hashlib.md5(text).hexdigest() for text in (b"a", b"b")]
    joined = hashlib.md5(hashlib.md5(b"a").digest() + hashlib.md5(b"b").digest()).hexdigest()
    assert multipart_etag(md5s) == f"{joined}-2"
