"""Pages against a plain model: sort everything, roll up, cut."""

from collections.abc import Iterable
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from darkroom.objects.base import Object
from darkroom.objects.listing import common_prefix, page

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
TEXT = st.text(st.sampled_from("ab/é\uffff𝄞\0"), max_size=5)


def seek_in(keys: Iterable[str]):
    ordered = sorted(key.encode() for key in keys)

    def seek(low: bytes, high: bytes, limit: int) -> list[Object]:
        found = [key for key in ordered if low <= key < high][:limit]
        return [Object("b", key.decode(), 0, "", MOMENT) for key in found]

    return seek


def expected(keys: Iterable[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """Everything that is to be listed, in order: keys, and common prefixes once each."""
    found = {common_prefix(key, prefix, delimiter) or key for key in keys if key.startswith(prefix)}
    return sorted((item for item in found if item.encode() > after.encode()), key=str.encode)


def listed(keys: Iterable[str], prefix: str, delimiter: str, after: str, limit: int) -> list[str]:
    """All pages, one after the other."""
    seen: list[str] = []
    place: str | None = after
    while place is not None:
        found = page(seek_in(keys), prefix, delimiter, place, limit)
        items = sorted([*(item.key for item in found.objects), *found.prefixes], key=str.encode)
        assert 0 < len(items) <= limit or found.next is None
        seen += items
        place = found.next
    return seen


@given(st.sets(TEXT.filter(bool), max_size=12), TEXT, st.sampled_from(["", "/", "ab"]), TEXT, st.integers(1, 4))
def test_pages_are_what_sorting_everything_gives(
    keys: set[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    assert listed(keys, prefix, delimiter, after, limit) == expected(keys, prefix, delimiter, after)


def test_a_common_prefix_is_passed_with_one_seek() -> None:
    calls = []
    keys = [f"a/{number:04}" for number in range(1000)] + ["b"]
    plain = seek_in(keys)

    def seek(low: bytes, high: bytes, limit: int) -> list[Object]:
        calls.append(low)
        return plain(low, high, limit)

    found = page(seek, "", "/", "", 1000)
    assert (list(found.prefixes), [item.key for item in found.objects]) == (["a/"], ["b"])
    assert calls == [b"", b"a0"]


def test_an_empty_page_has_no_next() -> None:
    assert page(seek_in(["a"]), "", "", "", 0).next is None
