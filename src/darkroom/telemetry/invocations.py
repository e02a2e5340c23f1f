"""Counts invocations in memory and writes one statistic set a minute, so that the front door never waits for a disk."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from darkroom.telemetry.metrics import MetricStore, Series, StatisticSet

NAMESPACE = "AWS/SageMaker"
Key = tuple[str, str, int]  # endpoint, variant, minute as epoch seconds


class _Tally:
    """What one variant answered within one minute: a few numbers, since this runs for every request."""

    __slots__ = ("errors_4xx", "errors_5xx", "model", "model_errors", "overhead", "requests")

    def __init__(self) -> None:
        self.requests = self.errors_4xx = self.errors_5xx = self.model_errors = 0
        self.model = [0.0, float("inf"), 0.0]  # sum, minimum, maximum in seconds
        self.overhead = [0.0, float("inf"), 0.0]

    def add(self, status: int, model_s: float, overhead_s: float) -> None:
        self.requests += 1
        if status >= 400:
            self.errors_4xx += status < 500
            self.errors_5xx += status >= 500
            self.model_errors += status == 424
        for latency, seconds in ((self.model, model_s), (self.overhead, overhead_s)):
            latency[0] += seconds
            if seconds < latency[1]:
                latency[1] = seconds
            if seconds > latency[2]:
                latency[2] = seconds

    def statistics(self) -> Iterator[tuple[str, str, StatisticSet]]:
        """(metric, unit, statistics). A request adds 1 or 0 to each count, so that averages are rates."""
        counts = {
            "Invocations": self.requests,
            "InvocationsPerInstance": self.requests,
            "Invocation4XXErrors": self.errors_4xx,
            "Invocation5XXErrors": self.errors_5xx,
            "InvocationModelErrors": self.model_errors,
        }
        for name, count in counts.items():
            yield name, "Count", StatisticSet(self.requests, count, float(count == self.requests), float(count > 0))
        for name, (total, low, high) in (("ModelLatency", self.model), ("OverheadLatency", self.overhead)):
            yield name, "Microseconds", StatisticSet(self.requests, total * 1e6, low * 1e6, high * 1e6)


class InvocationMeter:
    """``count`` is cheap and thread-safe; ``flush`` writes what has gathered (call it every few seconds).

    ``now`` is epoch seconds.
    """

    def __init__(self, store: MetricStore, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now
        self._gathered: dict[Key, _Tally] = {}
        self._lock = threading.Lock()

    def count(self, endpoint: str, variant: str, status: int, model_s: float, overhead_s: float) -> None:
        """One answered request: ``status`` is the HTTP status the client saw; times in seconds."""
        key = endpoint, variant, int(self._now()) // 60 * 60
        with self._lock:
            tally = self._gathered.get(key)
            if tally is None:
                tally = self._gathered[key] = _Tally()
            tally.add(status, model_s, overhead_s)

    def flush(self) -> None:
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        self._store.add(
            (Series(NAMESPACE, name, _dimensions(endpoint, variant), unit), datetime.fromtimestamp(minute, UTC), stats)
            for (endpoint, variant, minute), tally in gathered.items()
            for name, unit, stats in tally.statistics()
        )


def _dimensions(endpoint: str, variant: str) -> tuple[tuple[str, str], ...]:
    return ("EndpointName", endpoint), ("VariantName", variant)
