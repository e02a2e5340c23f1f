"""Engines: what SQLite needs to be durable and fair. The only file that knows one database from another.

WAL lets readers go on while one writer writes. A write takes the lock when it begins (BEGIN IMMEDIATE): waiting at the
start is fair, failing at the first write is not. ``durable`` writes reach the disk before they are acknowledged
(synchronous=FULL); the others survive kill -9 and may be lost with the power.
"""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

WRITES = "darkroom_writes"
DURABLE = "darkroom_durable"


def engine_of(target: Path | str) -> Engine:
    """An engine for a SQLite file, or for a SQLAlchemy URL."""
    engine = create_engine(f"sqlite:///{target}" if isinstance(target, Path) else target)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def is_full(error: OperationalError) -> bool:
    """Whether there is no room on the disk for what was to be written."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _prepare(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode=WAL", "busy_timeout=20000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get(DURABLE) else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
