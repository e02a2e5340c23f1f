"""The schema's history: numbered steps, each applied once and written down."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, select

from darkroom.control.store import tables
from darkroom.errors import Conflict

own = MetaData()
applied = Table(
    "migrations", own, Column("number", Integer, primary_key=True), Column("at", String(40), nullable=False)
)


def _first_tables(connection: Connection) -> None:
    tables.metadata.create_all(connection)


STEPS: tuple[Callable[[Connection], None], ...] = (_first_tables,)


def migrate(connection: Connection, now: datetime) -> int:
    """Apply what is missing inside the caller's transaction; returns the version reached.

    Raises Conflict where a newer Darkroom has already changed the schema past what this one knows.
    """
    own.create_all(connection)
    done = connection.scalar(select(func.max(applied.c.number))) or 0
    if done > len(STEPS):
        raise Conflict(
            "schema", str(done), f"the database is at schema {done}, this Darkroom knows {len(STEPS)}: update it"
        )
    for number, step in enumerate(STEPS[done:], start=done + 1):
        step(connection)
        connection.execute(insert(applied).values(number=number, at=now.isoformat()))
    return len(STEPS)
