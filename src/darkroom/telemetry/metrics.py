"""Metric series in SQL: statistic sets by series and time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


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


class MetricStore:
    """Filled in next."""

    def add(self, data: Iterable[tuple[Series, datetime, StatisticSet]]) -> None: ...
