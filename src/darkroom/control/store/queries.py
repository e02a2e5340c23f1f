"""Named queries: every statement control sends to the database, and nothing else.

A change is a compare-and-swap on the version, together with its events in one durable transaction. Leases keep two
servers from working on one resource; a server that comes back under its own name takes up its own leases at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from darkroom.control.listing import Page, Query
from darkroom.control.resources import Change, Draft, Event, Kind, Resource
from darkroom.control.store.dialects import DURABLE, WRITES, engine_of, is_full
from darkroom.control.store.migrations import migrate
from darkroom.control.store.pages import statement, token_after
from darkroom.control.store.tables import events, resources, tags
from darkroom.errors import Conflict, Full, NotFound

COLUMNS = (
    resources.c.id,
    resources.c.kind,
    resources.c.name,
    resources.c.arn,
    resources.c.request,
    resources.c.state,
    resources.c.status,
    resources.c.desired,
    resources.c.observed,
    resources.c.version,
    resources.c.created,
    resources.c.modified,
    resources.c.next_check_at,
)
EXISTS = resources.c.deleted.is_(None)


class Store:
    """Durable resources, events and tags. Every method may be called from any thread; writing may raise Full."""

    def __init__(self, target: Path | str, now: datetime) -> None:
        self._engine = engine_of(target)
        with self._writing() as connection:
            migrate(connection, now)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _writing(self, durable: bool = True) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.execution_options(**{WRITES: True, DURABLE: durable})
            try:
                with connection.begin():
                    yield connection
            except OperationalError as error:
                if is_full(error):
                    raise Full from error
                raise

    def create(self, draft: Draft, now: datetime) -> Resource:
        """Store a draft. Raises Conflict where the name is taken."""
        row = {
            "kind": draft.kind.value,
            "name": draft.name,
            "arn": draft.arn,
            "request": draft.request,
            "state": draft.state,
            "status": draft.status,
            "desired": draft.desired,
            "observed": {},
            "version": 1,
            "created": now,
            "modified": now,
            "next_check_at": now if draft.active else None,
        }
        try:
            with self._writing() as connection:
                key = connection.execute(insert(resources).values(row)).inserted_primary_key
                assert key is not None
                resource_id: int = key[0]
                _write_events(connection, resource_id, 1, draft.events)
                _write_tags(connection, resource_id, draft.tags)
        except IntegrityError:
            taken = f"a {draft.kind} named {draft.name!r} exists already"
            raise Conflict(draft.kind, draft.name, taken) from None
        return self.load(resource_id)

    def load(self, resource_id: int) -> Resource:
        """Raises NotFound for a resource that is gone."""
        with self._reading() as connection:
            row = connection.execute(select(*COLUMNS).where(resources.c.id == resource_id, EXISTS)).first()
        if row is None:
            raise NotFound("resource", str(resource_id))
        return _resource(row)

    def find(self, kind: Kind, name: str) -> Resource:
        """Raises NotFound(kind)."""
        with self._reading() as connection:
            row = connection.execute(
                select(*COLUMNS).where(resources.c.kind == kind.value, resources.c.name == name, EXISTS)
            ).first()
        if row is None:
            raise NotFound(kind, name)
        return _resource(row)

    def find_arn(self, arn: str) -> Resource:
        """Raises NotFound("resource")."""
        with self._reading() as connection:
            row = connection.execute(select(*COLUMNS).where(resources.c.arn == arn, EXISTS)).first()
        if row is None:
            raise NotFound("resource", arn)
        return _resource(row)

    def page(self, kind: Kind, query: Query) -> Page[Resource]:
        with self._reading() as connection:
            found = [_resource(row) for row in connection.execute(statement(kind, query, *COLUMNS))]
        shown = found[: query.limit]
        return Page(shown, token_after(query, shown[-1]) if len(found) > query.limit else None)

    def in_states(self, kind: Kind, states: Sequence[str]) -> list[Resource]:
        """Every resource in one of ``states``, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                select(*COLUMNS)
                .where(resources.c.kind == kind.value, resources.c.state.in_(states), EXISTS)
                .order_by(resources.c.id)
            )
            return [_resource(row) for row in rows]

    def events(self, resource_id: int) -> list[Event]:
        with self._reading() as connection:
            rows = connection.execute(
                select(events.c.at, events.c.status, events.c.message)
                .where(events.c.resource_id == resource_id)
                .order_by(events.c.version, events.c.place)
            )
            return [Event(*row) for row in rows]

    def apply(self, resource: Resource, change: Change, now: datetime) -> Resource | None:
        """Write ``change`` and its events, unless the resource has moved on since it was read: then None."""
        version = resource.version + 1
        values = {
            "state": change.state,
            "status": change.status,
            "desired": change.desired,
            "observed": change.observed,
            "next_check_at": None if change.gone else change.next_check_at,
            "version": version,
            "modified": now,
            "deleted": now if change.gone else None,
        }
        with self._writing() as connection:
            written = connection.execute(
                update(resources)
                .where(resources.c.id == resource.id, resources.c.version == resource.version, EXISTS)
                .values(values)
            )
            if written.rowcount != 1:
                return None
            _write_events(connection, resource.id, version, change.events)
        return replace(
            resource,
            state=change.state,
            status=change.status,
            desired=change.desired,
            observed=change.observed,
            next_check_at=change.next_check_at,
            version=version,
            modified=now,
        )

    def remove(self, resource: Resource, now: datetime) -> None:
        """Delete a resource that has no life of its own; its name is free again."""
        with self._writing() as connection:
            connection.execute(update(resources).where(resources.c.id == resource.id, EXISTS).values(deleted=now))

    def rest(self, resource: Resource) -> None:
        """There is nothing left to do, unless the resource has moved on. Losing this with the power costs one look."""
        with self._writing(durable=False) as connection:
            connection.execute(
                update(resources)
                .where(resources.c.id == resource.id, resources.c.version == resource.version)
                .values(next_check_at=None)
            )

    def unsettled(self) -> list[tuple[int, datetime]]:
        """(id, time of the next look) of everything the reconciler has work with, the longest overdue first."""
        with self._reading() as connection:
            found = connection.execute(
                select(resources.c.id, resources.c.next_check_at)
                .where(resources.c.next_check_at.is_not(None), EXISTS)
                .order_by(resources.c.next_check_at, resources.c.id)
            )
            return [(row.id, row.next_check_at) for row in found]

    def claim(self, resource_id: int, owner: str, now: datetime, until: datetime) -> bool:
        """Take the lease for ``owner``; False while another owner's has not run out."""
        free = or_(resources.c.owner.is_(None), resources.c.owner == owner, resources.c.lease_until < now)
        with self._writing(durable=False) as connection:
            taken = connection.execute(
                update(resources).where(resources.c.id == resource_id, free).values(owner=owner, lease_until=until)
            )
            return taken.rowcount == 1

    def tags(self, resource_id: int) -> dict[str, str]:
        with self._reading() as connection:
            rows = connection.execute(
                select(tags.c.key, tags.c.value).where(tags.c.resource_id == resource_id).order_by(tags.c.key)
            )
            return {row.key: row.value for row in rows}

    def tag(self, resource_id: int, values: Mapping[str, str]) -> None:
        with self._writing() as connection:
            _drop_tags(connection, resource_id, list(values))
            _write_tags(connection, resource_id, values)

    def untag(self, resource_id: int, keys: Sequence[str]) -> None:
        with self._writing() as connection:
            _drop_tags(connection, resource_id, keys)


def _resource(row: Any) -> Resource:
    values = dict(row._mapping)
    return Resource(**values | {"kind": Kind(values["kind"])})


def _write_events(connection: Connection, resource_id: int, version: int, new: Sequence[Event]) -> None:
    for place, event in enumerate(new):
        connection.execute(
            insert(events).values(
                resource_id=resource_id,
                version=version,
                place=place,
                at=event.at,
                status=event.status,
                message=event.message,
            )
        )


def _write_tags(connection: Connection, resource_id: int, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        connection.execute(insert(tags).values(resource_id=resource_id, key=key, value=value))


def _drop_tags(connection: Connection, resource_id: int, keys: Sequence[str]) -> None:
    connection.execute(delete(tags).where(tags.c.resource_id == resource_id, tags.c.key.in_(keys)))
