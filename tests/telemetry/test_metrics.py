"""Metric series: sums by period are those of the values, whatever the order and the threads."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.telemetry.invocations import InvocationMeter
from darkroom.telemetry.metrics import Datapoint, MetricStore, Series, StatisticSet

START = datetime(2026, 11, 21, tzinfo=UTC)
SERIES = Series("n", "m", (("a", "1"), ("b", "2")), "Count")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ask(store: MetricStore, period_s: int = 60, seconds: float = 600) -> list[Datapoint]:
    return store.statistics("n", "m", SERIES.dimensions, START, at(seconds), period_s)


@given(
    st.lists(st.tuples(st.integers(0, 599), st.integers(-5, 5)), min_size=1, max_size=20), st.sampled_from([1, 60, 300])
)
def test_periods_hold_exactly_their_values(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[int, int]], period_s: int
) -> None:
    store = MetricStore(tmp_path_factory.mktemp("m") / "metrics.sqlite")
    store.add((SERIES, at(second), StatisticSet.of(value)) for second, value in values)
    slots = sorted({second // period_s for second, _ in values})
    expected = []
    for slot in slots:
        inside = [float(value) for second, value in values if second // period_s == slot]
        stats = StatisticSet(len(inside), sum(inside), min(inside), max(inside))
        expected.append(Datapoint(at(slot * period_s), "Count", stats))
    assert ask(store, period_s) == expected
    store.close()


def test_the_end_does_not_belong_to_the_window(tmp_path: Path) -> None:
    store = MetricStore(tmp_path / "metrics.sqlite")
    store.add([(SERIES, at(60), StatisticSet.of(1))])
    assert ask(store, seconds=60) == []
    store.close()


def test_what_was_added_is_there_for_the_next_server(tmp_path: Path) -> None:
    for _ in range(2):
        store = MetricStore(tmp_path / "metrics.sqlite")
        store.add([(SERIES, at(0), StatisticSet.of(2))])
        found = ask(store)
        store.close()
    assert [point.stats.sum for point in found] == [4]


def test_the_order_of_dimensions_does_not_matter(tmp_path: Path) -> None:
    store = MetricStore(tmp_path / "metrics.sqlite")
    store.add([(SERIES, at(0), StatisticSet.of(2))])
    swapped = tuple(reversed(SERIES.dimensions))
    assert len(store.statistics("n", "m", swapped, START, at(60), 60)) == 1
    store.close()


def test_series_are_listed_once_for_all_their_units(tmp_path: Path) -> None:
    store = MetricStore(tmp_path / "metrics.sqlite")
    other = Series("n", "m", SERIES.dimensions, "Seconds")
    store.add([(series, at(0), StatisticSet.of(1)) for series in (SERIES, other, Series("n", "k", ()))])
    assert store.list("n") == [Series("n", "k", ()), Series("n", "m", SERIES.dimensions)]
    assert store.list("n", "k") == [Series("n", "k", ())]
    assert store.list("x") == []
    store.close()


def test_threads_add_side_by_side(tmp_path: Path) -> None:
    store = MetricStore(tmp_path / "metrics.sqlite")

    def add(n: int) -> None:
        for i in range(20):
            store.add([(SERIES, at(i), StatisticSet.of(1)), (Series("n", f"t{n}", ()), at(i), StatisticSet.of(1))])

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(point.stats.count for point in ask(store)) == 80
    store.close()


def test_invocations_are_counted_by_the_minute(tmp_path: Path) -> None:
    store = MetricStore(tmp_path / "metrics.sqlite")
    now = [at(30).timestamp()]
    meter = InvocationMeter(store, lambda: now[0])
    meter.count("flowers", "AllTraffic", 200, 0.004, 0.001)
    meter.count("flowers", "AllTraffic", 424, 0.002, 0.001)
    now[0] = at(90).timestamp()
    meter.count("flowers", "AllTraffic", 503, 0.0, 0.001)
    meter.flush()
    meter.flush()
    dimensions = (("EndpointName", "flowers"), ("VariantName", "AllTraffic"))

    def sums(name: str) -> list[tuple[float, str]]:
        points = store.statistics("AWS/SageMaker", name, dimensions, START, at(120), 60)
        return [(point.stats.sum, point.unit) for point in points]

    assert sums("Invocations") == [(2, "Count"), (1, "Count")]
    assert sums("Invocation4XXErrors") == [(1, "Count"), (0, "Count")]
    assert sums("Invocation5XXErrors") == [(0, "Count"), (1, "Count")]
    assert sums("InvocationModelErrors") == [(1, "Count"), (0, "Count")]
    assert sums("ModelLatency") == [(pytest.approx(6000), "Microseconds"), (0, "Microseconds")]
    store.close()
