"""Counts invocations in memory and writes one statistic set a minute, so that the front door never waits for a disk."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from darkroom.telemetry.metrics import MetricStore, Series, StatisticSet

NAMESPACE = "AWS/SageMaker"
Minute = int


class InvocationMeter:
    """``count`` is cheap and thread-safe; ``flush`` writes what has gathered (call it every few seconds)."""

    def __init__(self, store: MetricStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store, self._now = store, now
        self._gathered: dict[tuple[Series, Minute], StatisticSet] = {}
        self._lock = threading.Lock()

    def count(self, endpoint: str, variant: str, status: int, model_s: float, overhead_s: float) -> None:
        """One answered request: ``status`` is the HTTP status the client saw; times in seconds."""
        values = {
            "Invocations": (1.0, "Count"),
            "InvocationsPerInstance": (1.0, "Count"),
            "Invocation4XXErrors": (float(400 <= status < 500), "Count"),
            "Invocation5XXErrors": (float(status >= 500), "Count"),
            "InvocationModelErrors": (float(status == 424), "Count"),
            "ModelLatency": (model_s * 1e6, "Microseconds"),
            "OverheadLatency": (overhead_s * 1e6, "Microseconds"),
        }
        minute = int(self._now().timestamp()) // 60 * 60
        dimensions = (("EndpointName", endpoint), ("VariantName", variant))
        with self._lock:
            for name, (value, unit) in values.items():
                key = Series(NAMESPACE, name, dimensions, unit), minute
                self._gathered[key] = StatisticSet.of(value).merge(self._gathered.get(key))

    def flush(self) -> None:
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        self._store.add(
            (series, datetime.fromtimestamp(minute, UTC), stats) for (series, minute), stats in gathered.items()
        )
