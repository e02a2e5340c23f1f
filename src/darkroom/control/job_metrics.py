"""Metrics of a running job, read from the very lines its log shows.

What was read is remembered as plain JSON in the job: the place in the log, the last value of each metric, the names
that never matched. Each value goes to the metric store as the job runs.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from darkroom.contract.images import Image
from darkroom.contract.metrics import MetricDefinition, read
from darkroom.control.resources import Resource
from darkroom.telemetry.metrics import Series, StatisticSet

NAMESPACE = "/aws/sagemaker/TrainingJobs"


class Line(Protocol):
    @property
    def timestamp_ms(self) -> int: ...

    @property
    def message(self) -> str: ...


Point = tuple[Series, datetime, StatisticSet]


def definitions(request: Mapping[str, Any], image: Image) -> tuple[MetricDefinition, ...]:
    """The built-in image's own metrics and those of the request; a name given in the request counts."""
    given = tuple(
        MetricDefinition(d["Name"], d["Regex"]) for d in request["AlgorithmSpecification"].get("MetricDefinitions", ())
    )
    names = {d.name for d in given}
    return tuple(d for d in image.metrics if d.name not in names) + given


def points(job: Resource, known: Sequence[MetricDefinition], lines: Sequence[Line]) -> list[Point]:
    """Every metric value in ``lines``, in order."""
    dimensions = (("TrainingJobName", job.name),)
    return [
        (
            Series(NAMESPACE, name, dimensions),
            datetime.fromtimestamp(line.timestamp_ms / 1000, UTC),
            StatisticSet.of(value),
        )
        for line in lines
        for name, value in read(known, line.message)
    ]


def merged(last: Mapping[str, Any], new: Sequence[Point]) -> dict[str, Any]:
    """The last value of each metric: name → [value, ISO time]."""
    return {**last, **{series.name: [stats.sum, at.isoformat()] for series, at, stats in new}}


def silent(known: Sequence[MetricDefinition], last: Mapping[str, Any]) -> list[MetricDefinition]:
    """Definitions that matched no line."""
    return [definition for definition in known if definition.name not in last]
