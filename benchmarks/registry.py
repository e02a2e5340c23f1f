"""Every benchmark by the name ``make bench ONLY=…`` takes."""

from collections.abc import Callable

from benchmarks import startup
from benchmarks.rows import Row

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "startup": startup.server,
    "job-start": startup.job,
}
