"""Metric series in SQL: statistic sets by series and time, summed up by period on the way out.

Knows no AWS operation. The file can be lost without harm to jobs: synchronisation is normal, not full.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import OperationalError

from darkroom.errors import Full


@dataclass(frozen=True)
class Series:
    """``dimensions`` are (name, value) pairs, sorted by name."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str = "None"


@dataclass(frozen=True)
class StatisticSet:
    count: float
    sum: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, value: float) -> "StatisticSet":
        return cls(1, value, value, value)

    def merge(self, other: "StatisticSet | None") -> "StatisticSet":
        if other is None:
            return self
        return StatisticSet(
            self.count + other.count,
            self.sum + other.sum,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )


@dataclass(frozen=True)
class Datapoint:
    """All that fell into one period, which begins at ``start``."""

    start: datetime
    unit: str
    stats: StatisticSet


_metadata = MetaData()
_series = Table(
    "series",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String, nullable=False),
    Column("name", String, nullable=False),
    Column("dimensions", String, nullable=False),  # JSON of the sorted pairs
    Column("unit", String, nullable=False),
    UniqueConstraint("namespace", "name", "dimensions", "unit"),
)
_points = Table(
    "points",
    _metadata,
    Column("series_id", ForeignKey("series.id"), nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("count", Float, nullable=False),
    Column("sum", Float, nullable=False),
    Column("minimum", Float, nullable=False),
    Column("maximum", Float, nullable=False),
    Index("points_by_time", "series_id", "at_ms"),
)


class MetricStore:
    """Call it from any thread; one process writes to a file."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 20})
        event.listen(self._engine, "connect", _set_up)
        _metadata.create_all(self._engine)
        self._writing = threading.Lock()
        self._ids: dict[Series, int] = {}

    def close(self) -> None:
        self._engine.dispose()

    def add(self, data: Iterable[tuple[Series, datetime, StatisticSet]]) -> None:
        """Keep statistic sets, all or none; ``StatisticSet.of`` makes one of a single value. Raises Full."""
        data = list(data)
        if not data:
            return
        with self._writing:
            try:
                self._ids = self._added(data)
            except OperationalError as error:
                if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    raise Full from error
                raise

    def _added(self, data: list[tuple[Series, datetime, StatisticSet]]) -> dict[Series, int]:
        """Every series that has an id by now."""
        with self._engine.begin() as connection:
            known = dict(self._ids)
            for series in {series for series, _, _ in data} - known.keys():
                found = connection.scalar(select(_series.c.id).where(*_is(series)))
                known[series] = found or _inserted(connection.execute(insert(_series).values(_row(series))))
            connection.execute(insert(_points), [_point(known[series], at, stats) for series, at, stats in data])
        return known

    def statistics(
        self,
        namespace: str,
        name: str,
        dimensions: Iterable[tuple[str, str]],
        start: datetime,
        end: datetime,
        period_s: int,
        unit: str | None = None,
    ) -> list[Datapoint]:
        """What was measured in start <= time < end by periods counted from ``start``, oldest first.

        ``dimensions`` must be exactly those of the series; without ``unit``, each unit found has datapoints of its own.
        """
        start_ms, end_ms = _ms(start), _ms(end)
        slot = ((_points.c.at_ms - start_ms) // (period_s * 1000)).label("slot")
        query = (
            select(
                slot,
                _series.c.unit,
                func.sum(_points.c.count),
                func.sum(_points.c.sum),
                func.min(_points.c.minimum),
                func.max(_points.c.maximum),
            )
            .join(_points, _points.c.series_id == _series.c.id)
            .where(_series.c.namespace == namespace, _series.c.name == name, _series.c.dimensions == _text(dimensions))
            .where(_points.c.at_ms >= start_ms, _points.c.at_ms < end_ms)
            .group_by(slot, _series.c.unit)
            .order_by(slot, _series.c.unit)
        )
        if unit is not None:
            query = query.where(_series.c.unit == unit)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Datapoint(start + timedelta(seconds=period_s * row[0]), row[1], StatisticSet(*row[2:])) for row in rows]

    def list(self, namespace: str | None = None, name: str | None = None) -> Sequence[Series]:
        """Every series, one for all its units, by namespace, name and dimensions."""
        query = select(_series.c.namespace, _series.c.name, _series.c.dimensions).distinct()
        if namespace is not None:
            query = query.where(_series.c.namespace == namespace)
        if name is not None:
            query = query.where(_series.c.name == name)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by("namespace", "name", "dimensions")).all()
        return [Series(row[0], row[1], tuple((k, v) for k, v in json.loads(row[2]))) for row in rows]


def _set_up(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _is(series: Series) -> list[Any]:
    return [_series.c[column] == value for column, value in _row(series).items()]


def _row(series: Series) -> dict[str, str]:
    return {
        "namespace": series.namespace,
        "name": series.name,
        "dimensions": _text(series.dimensions),
        "unit": series.unit,
    }


def _point(series_id: int, at: datetime, stats: StatisticSet) -> dict[str, float]:
    return {
        "series_id": series_id,
        "at_ms": _ms(at),
        "count": stats.count,
        "sum": stats.sum,
        "minimum": stats.minimum,
        "maximum": stats.maximum,
    }


def _inserted(result: Any) -> int:
    return int(result.inserted_primary_key[0])


def _text(dimensions: Iterable[tuple[str, str]]) -> str:
    return json.dumps(sorted(dimensions))


def _ms(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1000)
