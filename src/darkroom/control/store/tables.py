"""The tables: resources, their append-only events, tags. Invariants live in indexes, not in hope."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Dialect, ForeignKey, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.types import TypeDecorator

metadata = MetaData()


class Json(TypeDecorator[Any]):
    """A JSON document as text. Datetimes in a request are kept as ISO 8601 text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(value, default=_plain, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime as text that sorts by time, to the microsecond."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} does not belong in a stored request: {value!r}")


resources = Table(
    "resources",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", String(256), nullable=False),
    Column("arn", String(512), nullable=False),
    Column("request", Json, nullable=False),
    Column("state", String(32), nullable=False),  # ours, for deciding
    Column("status", String(32), nullable=False),  # what users read and filter by
    Column("desired", Json, nullable=False),
    Column("observed", Json, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner", String(64)),  # who works on it now …
    Column("lease_until", Instant),  # … and until when nobody else may
    Column("next_check_at", Instant),  # when the reconciler looks again; NULL: it has nothing to do
    Column("created", Instant, nullable=False),
    Column("modified", Instant, nullable=False),
    Column("deleted", Instant),
    # A name is taken as long as its resource exists, and free again after.
    Index(
        "one_name",
        "kind",
        "name",
        unique=True,
        sqlite_where=text("deleted IS NULL"),
        postgresql_where=text("deleted IS NULL"),
    ),
    Index(
        "due",
        "next_check_at",
        sqlite_where=text("next_check_at IS NOT NULL"),
        postgresql_where=text("next_check_at IS NOT NULL"),
    ),
    Index("by_creation", "kind", "created"),
    Index("by_state", "kind", "state"),
    sqlite_autoincrement=True,  # ids name tasks: never one twice
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("resource_id", Integer, ForeignKey("resources.id"), nullable=False),
    Column("version", Integer, nullable=False),  # of the resource, as this event left it
    Column("place", Integer, nullable=False),  # among the events of that version
    Column("at", Instant, nullable=False),
    Column("status", String(64), nullable=False),
    Column("message", Text, nullable=False),
    # A version is written once, so its events are too.
    Index("one_story", "resource_id", "version", "place", unique=True),
    sqlite_autoincrement=True,
)

tags = Table(
    "tags",
    metadata,
    Column("resource_id", Integer, ForeignKey("resources.id"), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)
