"""The log store: whatever is asked for by pages is what was written, in order, once."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.contract import logs
from darkroom.errors import Conflict, Full, Invalid, NotFound
from darkroom.telemetry.logs import LogStore
from darkroom.telemetry.streams import BLOCK_BYTES, StreamFile

GROUP, STREAM = "/aws/sagemaker/TrainingJobs", "job/algo-1-1581317035"
EVENTS = st.lists(st.tuples(st.integers(1000, 1030), st.text("ab\n\\", max_size=4)), max_size=25).map(sorted)


@pytest.fixture
def store(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path / "logs")


def fresh(tmp_path_factory: pytest.TempPathFactory) -> LogStore:
    return LogStore(tmp_path_factory.mktemp("logs"))


def read_all(store: LogStore, **given: Any) -> list[tuple[int, str]]:
    """Everything by forward pages; an empty page comes only at the end, and repeats its token."""
    found: list[tuple[int, str]] = []
    page = store.events(GROUP, STREAM, from_head=True, **given)
    while page.events:
        found += [(event.timestamp_ms, event.message) for event in page.events]
        page = store.events(GROUP, STREAM, from_head=True, token=page.forward, **given)
    assert store.events(GROUP, STREAM, from_head=True, token=page.forward, **given).forward == page.forward
    return found


def read_all_backwards(store: LogStore, **given: Any) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    page = store.events(GROUP, STREAM, **given)
    while page.events:
        found[:0] = [(event.timestamp_ms, event.message) for event in page.events]
        page = store.events(GROUP, STREAM, token=page.backward, **given)
    return found


@given(EVENTS, st.integers(1, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_both_ways_equal_the_whole(tmp_path_factory: pytest.TempPathFactory, events: list, limit: int) -> None:
    store = fresh(tmp_path_factory)
    store.append(GROUP, STREAM, events)
    assert read_all(store, limit=limit) == events
    assert read_all_backwards(store, limit=limit) == events


@given(EVENTS, st.integers(995, 1035), st.integers(995, 1035), st.integers(1, 5))
def test_a_window_of_time_includes_its_start_and_not_its_end(
    tmp_path_factory: pytest.TempPathFactory, events: list, start_ms: int, end_ms: int, limit: int
) -> None:
    store = fresh(tmp_path_factory)
    store.append(GROUP, STREAM, events)
    wanted = [event for event in events if start_ms <= event[0] < end_ms]
    window = {"start_ms": start_ms, "end_ms": end_ms, "limit": limit}
    assert read_all(store, **window) == wanted
    assert read_all_backwards(store, **window) == wanted


@given(EVENTS.filter(bool), st.data())
def test_paging_from_any_token_gives_the_rest(
    tmp_path_factory: pytest.TempPathFactory, events: list, data: st.DataObject
) -> None:
    store = fresh(tmp_path_factory)
    store.append(GROUP, STREAM, events)
    count = data.draw(st.integers(1, len(events)))
    page = store.events(GROUP, STREAM, limit=count, from_head=True)
    rest = store.events(GROUP, STREAM, token=page.forward)
    assert [(e.timestamp_ms, e.message) for e in rest.events] == events[count:]
    assert store.events(GROUP, STREAM, token=page.backward).events == []
    assert store.events(GROUP, STREAM, token=rest.backward).events == page.events


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1000, 1010), st.text("xy", max_size=2)), max_size=20))
def test_filtering_merges_streams_by_time(tmp_path_factory: pytest.TempPathFactory, written: list) -> None:
    store = fresh(tmp_path_factory)
    for stream in "abc":
        store.append(GROUP, stream, [(at, text) for name, at, text in written if name == stream])
    found, token = [], None
    while True:
        page = store.filter(GROUP, matches=lambda message: "x" in message, limit=3, token=token)
        found += [(event.timestamp_ms, stream, event.message) for stream, event in page.events]
        if page.next is None:
            break
        assert page.events, "never an empty page before the end"
        token = page.next
    assert [(at, name) for at, name, _ in found] == sorted((at, name) for name, at, text in written if "x" in text)
    assert sorted(found) == sorted((at, name, text) for name, at, text in written if "x" in text)


def test_a_token_from_an_empty_page_gives_what_comes_later(store: LogStore) -> None:
    store.append(GROUP, STREAM, [(1, "first")])
    seen = store.events(GROUP, STREAM, from_head=True)
    empty = store.events(GROUP, STREAM, token=seen.forward)
    assert (empty.events, empty.forward) == ([], seen.forward)
    store.append(GROUP, STREAM, [(2, "second")])
    assert [event.message for event in store.events(GROUP, STREAM, token=empty.forward).events] == ["second"]


def test_an_unfinished_line_appears_when_it_is_finished(store: LogStore) -> None:
    path = store.path(GROUP, STREAM)
    path.write_bytes(logs.encode(1, "whole") + b"0000000000002 half")
    page = store.events(GROUP, STREAM, from_head=True)
    assert [event.message for event in page.events] == ["whole"]
    assert [event.message for event in store.events(GROUP, STREAM).events] == ["whole"]
    with open(path, "ab") as file:
        file.write(b" and half\n")
    assert [event.message for event in store.events(GROUP, STREAM, token=page.forward).events] == ["half and half"]


def test_damaged_lines_are_passed_over(store: LogStore) -> None:
    store.path(GROUP, STREAM).write_bytes(logs.encode(1, "a") + b"00000\n\n" + logs.encode(2, "b") + b"junk\n")
    assert read_all(store, limit=1) == [(1, "a"), (2, "b")]
    assert read_all_backwards(store, limit=1) == [(1, "a"), (2, "b")]


def test_a_page_holds_at_most_a_mebibyte_but_always_an_event(store: LogStore) -> None:
    store.append(GROUP, STREAM, [(i, "x" * 250_000) for i in range(9)])
    assert [len(store.events(GROUP, STREAM, from_head=True).events), len(store.filter(GROUP).events)] == [4, 4]
    assert len(read_all(store)) == 9


def test_times_are_found_in_a_big_file_by_reading_little_of_it(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(GROUP, STREAM, [(1_000_000 + i, f"line {i}") for i in range(200_000)])
    path = store.path(GROUP, STREAM)
    read, real_pread = [0], os.pread

    def counting(file: int, size: int, place: int) -> bytes:
        data = real_pread(file, size, place)
        read[0] += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    with StreamFile(path) as file:
        place = file.place_of(1_150_000)
        assert next(file.forwards(place)).message == "line 150000"
    assert path.stat().st_size > 60 * BLOCK_BYTES
    assert read[0] < 30 * BLOCK_BYTES


def test_a_file_that_grows_while_it_is_searched_is_seen_as_it_was(store: LogStore) -> None:
    for stream in ("a", "b"):
        store.append(GROUP, stream, [(i, f"{stream}{i}") for i in range(200)])

    def matches(message: str) -> bool:
        if message == "a0":
            store.append(GROUP, "b", [(500, "late")])
        return True

    assert [event.message for _, event in store.filter(GROUP, matches=matches).events].count("late") in (0, 1)


# ---- groups and streams ----


def test_streams_come_by_prefix_and_page(store: LogStore) -> None:
    for name in ("job/algo-1", "job/algo-2", "job-2/algo-1", "other"):
        store.append(GROUP, name, [(5, "x"), (9, "y")])
    streams, token = store.streams(GROUP, "job/", limit=1)
    assert [(s.name, s.first_ms, s.last_ms) for s in streams] == [("job/algo-1", 5, 9)]
    streams, token = store.streams(GROUP, "job/", limit=1, token=token)
    assert ([s.name for s in streams], token) == (["job/algo-2"], None)
    assert [s.name for s in store.streams(GROUP, descending=True)[0]] == [
        "other",
        "job/algo-2",
        "job/algo-1",
        "job-2/algo-1",
    ]


def test_streams_come_by_the_time_of_their_last_append(store: LogStore) -> None:
    for i, name in enumerate(("b", "c", "a")):
        store.append(GROUP, name, [(i, "x")])
        os.utime(store.path(GROUP, name), (i, i))
    assert [s.name for s in store.streams(GROUP, by_time=True, descending=True)[0]] == ["a", "c", "b"]


def test_groups_are_as_old_as_said_or_as_their_first_event(store: LogStore) -> None:
    store.create_group("/said", 77)
    store.append("/seen", STREAM, [(5, "x")])
    groups, token = store.groups()
    assert [(group.name, group.created_ms) for group in groups] == [("/said", 77), ("/seen", 5)]
    assert token is None
    assert [group.name for group in store.groups("/se")[0]] == ["/seen"]
    assert [group.name for group in store.groups(contains="AID")[0]] == ["/said"]
    _, token = store.groups(limit=1)
    assert [group.name for group in store.groups(limit=1, token=token)[0]] == ["/seen"]


def test_what_is_not_there_is_named(store: LogStore) -> None:
    with pytest.raises(NotFound, match="log group"):
        store.events(GROUP, STREAM)
    store.create_group(GROUP, 1)
    with pytest.raises(NotFound, match="log stream"):
        store.events(GROUP, STREAM)
    with pytest.raises(NotFound, match="log stream"):
        store.filter(GROUP, streams=[STREAM])
    assert store.streams(GROUP) == ([], None)
    assert store.filter(GROUP).events == []


def test_names_are_taken_once(store: LogStore) -> None:
    store.create_group(GROUP, 1)
    store.create_stream(GROUP, STREAM)
    with pytest.raises(Conflict):
        store.create_group(GROUP, 1)
    with pytest.raises(Conflict):
        store.create_stream(GROUP, STREAM)
    store.delete_stream(GROUP, STREAM)
    store.delete_group(GROUP)
    assert store.groups() == ([], None)


@pytest.mark.parametrize("name", ["..", ".", "a/../../b", "é:*", "group.json", "%2F"])
def test_odd_names_are_only_names(store: LogStore, name: str) -> None:
    store.append(name, name, [(1, "x")])
    assert [group.name for group in store.groups()[0]] == [name]
    assert [stream.name for stream in store.streams(name)[0]] == [name]


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_names_that_no_file_can_have_are_refused(store: LogStore, name: str) -> None:
    with pytest.raises(Invalid, match="log name"):
        store.append(GROUP, name, [])


@pytest.mark.parametrize("token", ["", "x", "f/", "f/-1", "g/1", "f/1x"])
def test_tokens_that_we_never_gave_are_refused(store: LogStore, token: str) -> None:
    store.append(GROUP, STREAM, [(1, "x")])
    with pytest.raises(Invalid, match="nextToken"):
        store.events(GROUP, STREAM, token=token)
    with pytest.raises(Invalid, match="nextToken"):
        store.filter(GROUP, token=token)
    with pytest.raises(Invalid, match="nextToken"):
        store.streams(GROUP, token=token)


def test_a_token_beyond_the_end_is_the_end(store: LogStore) -> None:
    store.append(GROUP, STREAM, [(1, "x")])
    assert store.events(GROUP, STREAM, token="f/999999").events == []
    assert len(store.events(GROUP, STREAM, token="b/999999").events) == 1


@pytest.fixture(autouse=True)
def _no_descriptor_is_left_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # the listing itself


@given(st.lists(st.integers(0, 30), max_size=40).map(sorted), st.integers(0, 31))
def test_halving_finds_the_place_of_every_time(
    tmp_path_factory: pytest.TempPathFactory, times: list, timestamp_ms: int
) -> None:
    store = fresh(tmp_path_factory)
    store.append(GROUP, STREAM, [(at, "x" * 9_000) for at in times])  # several blocks
    with StreamFile(store.path(GROUP, STREAM)) as file:
        found = [event.timestamp_ms for event in file.forwards(file.place_of(timestamp_ms))]
    assert found == [at for at in times if at >= timestamp_ms]


def test_a_group_that_a_full_disk_cut_short_does_not_spoil_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LogStore(tmp_path)
    store.create_group("whole", 1)

    def full(path: Path, text: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(Full):
            store.create_group("cut", 2)
    assert [group.name for group in store.groups()[0]] == ["whole"]
    store.create_group("cut", 3)
    (tmp_path / "cut" / "group.json").write_text("")  # the power went
    assert [group.name for group in store.groups()[0]] == ["cut", "whole"]
