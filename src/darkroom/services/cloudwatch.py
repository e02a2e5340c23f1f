"""CloudWatch: metrics in and out. Says ``telemetry.metrics`` in AWS's words; percentiles are not kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from darkroom.errors import Full
from darkroom.telemetry.metrics import Datapoint, MetricStore, Series, StatisticSet
from darkroom.wire.messages import Call, ServiceError
from darkroom.wire.operations import Operations

CLOUDWATCH = Operations("cloudwatch")
MAX_DATAPOINTS = 1440  # of one GetMetricStatistics
METRICS_A_PAGE = 500
SHORT_PERIODS_S = (1, 5, 10, 30)
STATISTICS: Mapping[str, Callable[[StatisticSet], float]] = {
    "SampleCount": lambda stats: stats.count,
    "Average": lambda stats: stats.sum / stats.count,
    "Sum": lambda stats: stats.sum,
    "Minimum": lambda stats: stats.minimum,
    "Maximum": lambda stats: stats.maximum,
}


@dataclass(frozen=True)
class CloudWatch:
    metrics: MetricStore
    now: Callable[[], datetime]


@CLOUDWATCH
def put_metric_data(part: CloudWatch, call: Call) -> None:
    namespace = call.params["Namespace"]
    if namespace.startswith("AWS/"):
        raise _invalid("The value AWS/ for parameter Namespace is invalid: it is the platform's own.")
    now = part.now()
    try:
        part.metrics.add(
            (_series(namespace, datum), datum.get("Timestamp", now), stats)
            for datum in call.params.get("MetricData", [])
            for stats in _measured(datum)
        )
    except Full as error:
        raise ServiceError("InternalServiceFault", str(error), 500) from error


@CLOUDWATCH
def get_metric_statistics(part: CloudWatch, call: Call) -> dict[str, Any]:
    given = call.params
    if given.get("ExtendedStatistics"):
        raise _invalid("Percentiles are not kept here: ask for Statistics instead of ExtendedStatistics.")
    if not given.get("Statistics"):
        raise ServiceError("MissingParameter", "The parameter Statistics is required.")
    start, period_s = _checked_range(given["StartTime"], given["EndTime"], given["Period"])
    asked = (given["EndTime"] - start) // timedelta(seconds=period_s)
    if asked > MAX_DATAPOINTS:
        raise ServiceError(
            "InvalidParameterCombination",
            f"You have requested up to {asked:,} datapoints, which exceeds the limit of {MAX_DATAPOINTS:,}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range.",
        )
    points = part.metrics.statistics(
        given["Namespace"],
        given["MetricName"],
        _dimensions(given),
        start,
        given["EndTime"],
        period_s,
        given.get("Unit"),
    )
    return {"Label": given["MetricName"], "Datapoints": [_datapoint(point, given["Statistics"]) for point in points]}


@CLOUDWATCH
def get_metric_data(part: CloudWatch, call: Call) -> dict[str, Any]:
    given = call.params
    ids = [query["Id"] for query in given["MetricDataQueries"]]
    for one, other in pairwise(sorted(ids)):
        if one == other:
            raise ServiceError("ValidationError", f"The id {one} is used by more than one of MetricDataQueries.")
    results = [_query(part.metrics, query, given) for query in given["MetricDataQueries"]]
    return {"MetricDataResults": [result for result in results if result is not None], "Messages": []}


@CLOUDWATCH
def list_metrics(part: CloudWatch, call: Call) -> dict[str, Any]:
    wanted = call.params.get("Dimensions", [])
    found = [
        series
        for series in part.metrics.list(call.params.get("Namespace"), call.params.get("MetricName"))
        if all(_has(series, dimension) for dimension in wanted)
    ]
    start = _page_start(call.params.get("NextToken"))
    page = found[start : start + METRICS_A_PAGE]
    following = start + METRICS_A_PAGE
    return {
        "Metrics": [
            {
                "Namespace": series.namespace,
                "MetricName": series.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
            }
            for series in page
        ],
        "NextToken": str(following) if following < len(found) else None,
    }


def _query(metrics: MetricStore, query: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """One result of GetMetricData; None where the query does not want its data returned."""
    name, wanted = query["Id"], query.get("MetricStat")
    if wanted is None:
        raise ServiceError(
            "ValidationError",
            f"MetricDataQueries {name}: metric math (Expression) is not offered here; ask for a MetricStat.",
        )
    statistic, metric = wanted["Stat"], wanted["Metric"]
    if statistic not in STATISTICS:
        raise ServiceError(
            "ValidationError",
            f"The value {statistic} for parameter MetricDataQueries {name} MetricStat.Stat is not one of those kept "
            f"here: {', '.join(STATISTICS)}.",
        )
    if not query.get("ReturnData", True):
        return None
    start, period_s = _checked_range(given["StartTime"], given["EndTime"], wanted["Period"])
    points = metrics.statistics(
        metric.get("Namespace", ""),
        metric.get("MetricName", ""),
        _dimensions(metric),
        start,
        given["EndTime"],
        period_s,
        wanted.get("Unit"),
    )
    if given.get("ScanBy") != "TimestampAscending":
        points.reverse()
    return {
        "Id": name,
        "Label": query.get("Label", metric.get("MetricName", "")),
        "Timestamps": [point.start for point in points],
        "Values": [STATISTICS[statistic](point.stats) for point in points],
        "StatusCode": "Complete",
    }


def _measured(datum: Mapping[str, Any]) -> Iterator[StatisticSet]:
    """The statistic sets of one MetricDatum: of a value, of values with counts, or given as one."""
    if (given := datum.get("StatisticValues")) is not None:
        yield StatisticSet(given["SampleCount"], given["Sum"], given["Minimum"], given["Maximum"])
    elif values := datum.get("Values"):
        counts = datum.get("Counts", [1.0] * len(values))
        if len(counts) != len(values):
            raise ServiceError("InvalidParameterCombination", "The lists Values and Counts must be of one length.")
        for value, count in zip(values, counts, strict=True):
            yield StatisticSet(count, value * count, value, value)
    elif "Value" in datum:
        yield StatisticSet.of(datum["Value"])
    else:
        raise ServiceError(
            "InvalidParameterCombination",
            "At least one of the parameters Value, Values and StatisticValues must be specified.",
        )


def _checked_range(start: datetime, end: datetime, period_s: int) -> tuple[datetime, int]:
    """(start rounded down to the minute, period), as AWS does: the periods count from there."""
    if period_s % 60 and period_s not in SHORT_PERIODS_S:
        raise _invalid("The parameter Period must be 1, 5, 10, 30 or a multiple of 60.")
    if start >= end:
        raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
    step_s = min(period_s, 60)
    return datetime.fromtimestamp(start.timestamp() // step_s * step_s, UTC), period_s


def _series(namespace: str, datum: Mapping[str, Any]) -> Series:
    return Series(namespace, datum["MetricName"], _dimensions(datum), datum.get("Unit", "None"))


def _dimensions(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((d["Name"], d["Value"]) for d in given.get("Dimensions", [])))


def _has(series: Series, wanted: Mapping[str, str]) -> bool:
    return any(name == wanted["Name"] and wanted.get("Value") in (None, value) for name, value in series.dimensions)


def _datapoint(point: Datapoint, statistics: Iterable[str]) -> dict[str, Any]:
    shown = {name: STATISTICS[name](point.stats) for name in statistics}
    return {"Timestamp": point.start, "Unit": point.unit, **shown}


def _page_start(token: str | None) -> int:
    if token is not None and not (token.isascii() and token.isdigit()):
        raise _invalid("The parameter NextToken is invalid.")
    return int(token or 0)


def _invalid(text: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", text)
