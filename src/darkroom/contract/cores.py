"""How many processor cores a process of a job may use."""

import os
from collections.abc import Mapping


def available(environ: Mapping[str, str] = os.environ) -> int:
    """OMP_NUM_THREADS where the launcher shares the machine out, else every core this process may use."""
    given = environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0))
