"""Who may run next. Pure: the machine's limit, what runs and who waits come in, names of the admitted come out."""

from collections.abc import Sequence

from darkroom.control.resources import Resource


def admitted(waiting: Sequence[Resource], running: int, limit: int) -> list[Resource]:
    """The first of ``waiting`` (oldest first) that fit while ``running`` jobs hold capacity; at least one job fits."""
    free = max(1, limit) - running
    return list(waiting[: max(0, free)])
