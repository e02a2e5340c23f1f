"""The hosts of one job, seen as one task: how far they are together, and whose fault it was. Pure.

A job of one host is a gang of one, and is seen as that host is.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from darkroom.executors.base import Observation, Phase

ON_THE_WAY = (Phase.STAGING, Phase.RUNNING, Phase.PACKING)
ORDER = (Phase.ABSENT, *ON_THE_WAY, Phase.ENDED, Phase.LOST)
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def together(hosts: Sequence[Observation]) -> Observation:
    """As far as the one least far. When all are over: the first fault, or the first host; with the first's archives."""
    if len(hosts) == 1:
        return hosts[0]
    least = min(hosts, key=lambda seen: ORDER.index(seen.phase))
    began = min((seen.running_at for seen in hosts if seen.running_at), default=None)
    if least.phase in ON_THE_WAY or least.phase is Phase.ABSENT:
        return replace(least, running_at=began)
    fault = first_fault(hosts)
    shown = hosts[0] if fault is None else hosts[fault]
    first = hosts[0]
    return replace(
        shown,
        running_at=began,
        unpacked=first.unpacked,
        model_archive=first.model_archive,
        output_archive=first.output_archive,
    )


def first_fault(hosts: Sequence[Observation]) -> int | None:
    """The place of the host that failed first: when it dies, the others do, because they miss it."""
    failed = [place for place, seen in enumerate(hosts) if _failed(seen)]
    return min(failed, key=lambda place: hosts[place].ended_at or BEFORE_ALL, default=None)


def _failed(seen: Observation) -> bool:
    over = seen.phase in (Phase.PACKING, Phase.ENDED)
    return seen.phase is Phase.LOST or (over and seen.exit_code != 0)
