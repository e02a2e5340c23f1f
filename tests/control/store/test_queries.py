from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from darkroom.control.listing import Query
from darkroom.control.resources import Change, Draft, Event, Kind, Resource
from darkroom.control.store import migrations
from darkroom.control.store.queries import Store
from darkroom.errors import Conflict, Full, Invalid, NotFound
from tests.control.values import CREATED, NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "control.sqlite", CREATED)
    yield opened
    opened.close()


def draft(name: str = "job", **changes: Any) -> Draft:
    values: dict[str, Any] = {
        "kind": Kind.TRAINING_JOB,
        "name": name,
        "arn": f"arn:{name}",
        "request": {"A": [1, {"b": "ü"}]},
    }
    return Draft(**values | {"state": "pending", "status": "InProgress"} | changes)


def change(resource: Resource, **changes: Any) -> Change:
    return Change(**{"state": resource.state, "status": resource.status, "desired": {}, "observed": {}} | changes)


def test_a_resource_comes_back_as_it_was_given(store: Store) -> None:
    created = store.create(draft(tags={"k": "v"}, events=[Event(CREATED, "Starting", "hello")]), CREATED)
    assert store.find(Kind.TRAINING_JOB, "job") == store.find_arn("arn:job") == store.load(created.id) == created
    assert created.request == {"A": [1, {"b": "ü"}]}
    assert (created.created, created.version) == (CREATED, 1)
    assert store.events(created.id) == [Event(CREATED, "Starting", "hello")]
    assert store.tags(created.id) == {"k": "v"}


def test_a_name_is_taken_while_its_resource_exists(store: Store) -> None:
    first = store.create(draft(), CREATED)
    with pytest.raises(Conflict):
        store.create(draft(), NOW)
    store.create(draft(kind=Kind.MODEL), NOW)
    store.remove(first, NOW)
    with pytest.raises(NotFound):
        store.load(first.id)
    assert store.create(draft(), NOW).id != first.id


def test_a_refused_create_leaves_nothing(store: Store) -> None:
    store.create(draft(), CREATED)
    with pytest.raises(Conflict):
        store.create(draft(tags={"k": "v"}, events=[Event(CREATED, "Starting", "x")]), NOW)
    (only,) = store.page(Kind.TRAINING_JOB, Query()).items
    assert store.events(only.id) == []
    assert store.tags(only.id) == {}


def test_only_the_first_of_two_changes_to_one_version_is_written(store: Store) -> None:
    read = store.create(draft(), CREATED)
    first = store.apply(read, change(read, state="starting", events=(Event(NOW, "Starting", "first"),)), NOW)
    second = store.apply(read, change(read, state="stopping", events=(Event(NOW, "Stopping", "second"),)), NOW)
    assert first is not None
    assert second is None
    assert store.load(read.id) == first == replace(read, state="starting", version=2, modified=NOW)
    assert [e.message for e in store.events(read.id)] == ["first"]


def test_what_is_gone_frees_its_name_and_is_settled(store: Store) -> None:
    read = store.create(draft(active=True), CREATED)
    assert store.unsettled() == [(read.id, CREATED)]
    store.apply(read, change(read, gone=True), NOW)
    assert store.unsettled() == []
    store.create(draft(), NOW)


def test_rest_does_not_overlook_a_change(store: Store) -> None:
    read = store.create(draft(active=True), CREATED)
    store.apply(read, change(read, next_check_at=NOW), NOW)
    store.rest(read)
    assert store.unsettled() == [(read.id, NOW)]
    store.rest(store.load(read.id))
    assert store.unsettled() == []


def test_a_lease_keeps_others_off_until_it_runs_out_and_its_owner_never(store: Store) -> None:
    resource = store.create(draft(), CREATED).id
    until, just_before, after = (NOW + timedelta(seconds=seconds) for seconds in (60, 59, 61))
    assert store.claim(resource, "one", NOW, until)
    assert not store.claim(resource, "two", just_before, after)
    assert store.claim(resource, "one", NOW, until)
    assert store.claim(resource, "two", after, after)


def test_everything_is_there_after_opening_again(store: Store, tmp_path: Path) -> None:
    created = store.create(draft(active=True, events=[Event(CREATED, "Starting", "x")]), CREATED)
    again = Store(tmp_path / "control.sqlite", NOW)
    assert again.load(created.id) == created
    assert again.events(created.id) == store.events(created.id)
    again.close()


def test_a_newer_schema_is_refused(store: Store, tmp_path: Path) -> None:
    with store._writing() as connection:
        connection.execute(insert(migrations.applied).values(number=99, at="later"))
    with pytest.raises(Conflict, match="at schema 99, this Darkroom knows 1"):
        Store(tmp_path / "control.sqlite", NOW)


def test_accepted_requests_reach_the_disk_before_they_are_acknowledged(store: Store) -> None:
    with store._writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    with store._writing(durable=False) as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1


def fill(store: Store) -> None:
    for place, (name, status) in enumerate([("ant", "A"), ("bee", "B"), ("cat", "A"), ("Ant_2", "B")]):
        at = CREATED + timedelta(minutes=place)
        store.create(draft(name, status=status), at)


def names(store: Store, **query: Any) -> list[str]:
    return [item.name for item in store.page(Kind.TRAINING_JOB, Query(**query)).items]


def test_pages_filter_and_sort(store: Store) -> None:
    fill(store)
    assert names(store) == ["Ant_2", "cat", "bee", "ant"]
    assert names(store, descending=False, sort_by="name") == ["Ant_2", "ant", "bee", "cat"]
    assert names(store, status="A") == ["cat", "ant"]
    assert names(store, name_contains="nt_") == ["Ant_2"]
    assert names(store, created_after=CREATED, created_before=CREATED + timedelta(minutes=3)) == ["cat", "bee"]
    assert names(store, sort_by="status", descending=False) == ["ant", "cat", "bee", "Ant_2"]


@pytest.mark.parametrize("sort_by", ["name", "created", "modified", "status"])
@pytest.mark.parametrize("descending", [True, False])
def test_pages_go_on_where_the_last_one_ended(store: Store, sort_by: str, descending: bool) -> None:
    fill(store)
    whole = names(store, sort_by=sort_by, descending=descending)
    found: list[str] = []
    token = None
    for number in range(4):
        page = store.page(Kind.TRAINING_JOB, Query(sort_by=sort_by, descending=descending, limit=1, after=token))
        found += [item.name for item in page.items]
        token = page.next
        if number == 1:  # what is deleted behind the token shifts nothing
            store.remove(page.items[0], NOW)
    assert found == whole
    assert token is None


@pytest.mark.parametrize("token", ["x", "bm9wZQ==", "WzFd"])
def test_tokens_of_others_are_refused(store: Store, token: str) -> None:
    with pytest.raises(Invalid, match="Invalid NextToken"):
        store.page(Kind.MODEL, Query(after=token))


def test_tags_are_added_and_taken(store: Store) -> None:
    resource = store.create(draft(tags={"a": "1"}), CREATED).id
    store.tag(resource, {"a": "2", "b": "3"})
    assert store.tags(resource) == {"a": "2", "b": "3"}
    store.untag(resource, ["a", "unknown"])
    assert store.tags(resource) == {"b": "3"}


def test_a_full_disk_is_said_so_and_forgotten_when_there_is_room(store: Store) -> None:
    large = {"Text": "x" * 100_000}

    def limit(pages: int) -> None:
        with store._reading() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit(1)  # what is there already stays
    with pytest.raises(Full, match="no space left"):
        store.create(Draft(Kind.MODEL, "m", "arn:m", large, "ready", "ready"), NOW)
    limit(10_000)
    assert store.create(Draft(Kind.MODEL, "m", "arn:m", large, "ready", "ready"), NOW).request == large
