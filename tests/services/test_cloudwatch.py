"""CloudWatch through boto3, and through the query protocol of older clients."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from darkroom.services.cloudwatch import CLOUDWATCH, CloudWatch
from darkroom.telemetry.metrics import MetricStore, Series, StatisticSet
from darkroom.wire.service import Service
from tests.services.wired import client, wired

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JOB = [{"Name": "TrainingJobName", "Value": "job"}]
NAMESPACE = "/aws/sagemaker/TrainingJobs"
STATISTICS = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[MetricStore]:
    store = MetricStore(tmp_path / "metrics.sqlite")
    yield store
    store.close()


@pytest.fixture
def cloudwatch(metrics: MetricStore) -> Iterator[Any]:
    with wired({"cloudwatch": Service("cloudwatch", CLOUDWATCH.bind(CloudWatch(metrics, lambda: NOW)))}) as url:
        yield client(url, "cloudwatch")


def accuracies(metrics: MetricStore) -> None:
    series = Series(NAMESPACE, "validation:accuracy", (("TrainingJobName", "job"),))
    at = [NOW + timedelta(seconds=s) for s in (0, 10, 70)]
    metrics.add((series, at, StatisticSet.of(v)) for at, v in zip(at, (0.5, 0.7, 0.9), strict=True))


def refused(operation: Callable[..., object], **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        operation(**params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def asked(**changes: Any) -> dict[str, Any]:
    return {
        "Namespace": NAMESPACE,
        "MetricName": "validation:accuracy",
        "Dimensions": JOB,
        "StartTime": NOW,
        "EndTime": NOW + 5 * MINUTE,
        "Period": 60,
        "Statistics": ["Average"],
    } | changes


def test_the_analytics_of_the_sdk(metrics: MetricStore, cloudwatch: Any) -> None:
    accuracies(metrics)
    answer = cloudwatch.get_metric_statistics(**asked(Statistics=STATISTICS))
    minute = NOW.replace(second=0)  # the start is rounded down, so that its own minute is whole
    assert [point["Timestamp"] for point in answer["Datapoints"]] == [minute, minute + MINUTE]
    first = answer["Datapoints"][0]
    assert {name: pytest.approx(first[name]) for name in STATISTICS} == {
        "SampleCount": 2,
        "Average": 0.6,
        "Sum": 1.2,
        "Minimum": 0.5,
        "Maximum": 0.7,
    }
    assert (answer["Label"], first["Unit"]) == ("validation:accuracy", "None")


def test_one_period_may_hold_all(metrics: MetricStore, cloudwatch: Any) -> None:
    accuracies(metrics)
    points = cloudwatch.get_metric_statistics(**asked(Period=300))["Datapoints"]
    assert [point["Average"] for point in points] == [pytest.approx(0.7)]


def test_dimensions_must_be_those_of_the_series(metrics: MetricStore, cloudwatch: Any) -> None:
    accuracies(metrics)
    assert cloudwatch.get_metric_statistics(**asked(Dimensions=[]))["Datapoints"] == []


def test_ones_own_metrics(cloudwatch: Any) -> None:
    cloudwatch.put_metric_data(
        Namespace="mine",
        MetricData=[
            {"MetricName": "m", "Value": 3.0, "Unit": "Count"},
            {"MetricName": "m", "Values": [1.0, 2.0], "Counts": [2.0, 1.0], "Unit": "Count", "Timestamp": NOW},
            {
                "MetricName": "m",
                "StatisticValues": {"SampleCount": 10, "Sum": 50, "Minimum": 0, "Maximum": 9},
                "Unit": "Seconds",
            },
        ],
    )
    answer = cloudwatch.get_metric_statistics(
        **asked(Namespace="mine", MetricName="m", Dimensions=[], Statistics=["Sum", "SampleCount"])
    )
    found = {point["Unit"]: (point["Sum"], point["SampleCount"]) for point in answer["Datapoints"]}
    assert found == {"Count": (7, 4), "Seconds": (50, 10)}
    only = cloudwatch.get_metric_statistics(**asked(Namespace="mine", MetricName="m", Dimensions=[], Unit="Seconds"))
    assert [point["Average"] for point in only["Datapoints"]] == [5]


def test_many_series_at_once_newest_first(metrics: MetricStore, cloudwatch: Any) -> None:
    accuracies(metrics)
    metric = {"Namespace": NAMESPACE, "MetricName": "validation:accuracy", "Dimensions": JOB}
    queries = [
        {"Id": "mean", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}},
        {"Id": "most", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}, "Label": "best"},
        {"Id": "none", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
    ]
    window = {"StartTime": NOW, "EndTime": NOW + 5 * MINUTE}
    results = cloudwatch.get_metric_data(MetricDataQueries=queries, **window)["MetricDataResults"]
    assert [(r["Id"], r["Label"], r["StatusCode"]) for r in results] == [
        ("mean", "validation:accuracy", "Complete"),
        ("most", "best", "Complete"),
    ]
    assert results[0]["Values"] == [pytest.approx(0.9), pytest.approx(0.6)]
    oldest_first = cloudwatch.get_metric_data(MetricDataQueries=queries, ScanBy="TimestampAscending", **window)
    assert oldest_first["MetricDataResults"][1]["Values"] == [0.7, 0.9]


def test_series_are_listed(metrics: MetricStore, cloudwatch: Any) -> None:
    accuracies(metrics)
    metrics.add([(Series("mine", f"m{i}", ()), NOW, StatisticSet.of(1)) for i in range(600)])
    assert len([m for page in cloudwatch.get_paginator("list_metrics").paginate() for m in page["Metrics"]]) == 601
    wanted = {"Dimensions": [{"Name": "TrainingJobName"}]}
    assert cloudwatch.list_metrics(**wanted)["Metrics"] == [
        {"Namespace": NAMESPACE, "MetricName": "validation:accuracy", "Dimensions": JOB}
    ]
    other = [{"Name": "TrainingJobName", "Value": "other"}]
    assert cloudwatch.list_metrics(Namespace=NAMESPACE, Dimensions=other)["Metrics"] == []


def test_what_is_refused_and_how(cloudwatch: Any) -> None:
    ask = cloudwatch.get_metric_statistics
    assert refused(ask, **asked(StartTime=NOW + MINUTE, EndTime=NOW)) == (
        "InvalidParameterValue",
        "The parameter StartTime must be less than the parameter EndTime.",
    )
    assert refused(ask, **asked(Period=90))[0] == "InvalidParameterValue"
    code, text = refused(ask, **asked(StartTime=NOW - timedelta(days=2)))
    assert code == "InvalidParameterCombination"
    assert "You have requested up to 2,885 datapoints, which exceeds the limit of 1,440." in text
    assert refused(ask, **asked(Statistics=["Average"], ExtendedStatistics=["p99"]))[0] == "InvalidParameterValue"
    no_statistics = asked()
    del no_statistics["Statistics"]
    assert refused(ask, **no_statistics)[0] == "MissingParameter"
    put = cloudwatch.put_metric_data
    assert refused(put, Namespace="AWS/SageMaker", MetricData=[])[0] == "InvalidParameterValue"
    assert refused(put, Namespace="x", MetricData=[{"MetricName": "m"}])[0] == "InvalidParameterCombination"
    window = {"StartTime": NOW, "EndTime": NOW + MINUTE}
    code, text = refused(
        cloudwatch.get_metric_data, MetricDataQueries=[{"Id": "sum", "Expression": "SUM(METRICS())"}], **window
    )
    assert (code, "metric math (Expression) is not offered" in text) == ("ValidationError", True)


def test_large_bodies_come_compressed(cloudwatch: Any) -> None:
    data = [{"MetricName": f"metric-{i:04d}", "Value": float(i)} for i in range(900)]
    cloudwatch.put_metric_data(Namespace="mine", MetricData=data)
    found = cloudwatch.get_metric_statistics(**asked(Namespace="mine", MetricName="metric-0899", Dimensions=[]))
    assert found["Datapoints"][0]["Average"] == 899
