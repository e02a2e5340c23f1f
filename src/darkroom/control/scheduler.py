"""Who may run next. Pure: the machine's limit, what runs and who waits come in, names of the admitted come out."""

from collections.abc import Callable, Sequence

from darkroom.control.resources import Resource


def admitted(
    waiting: Sequence[Resource], running: int, limit: int, size: Callable[[Resource], int] = lambda job: 1
) -> list[Resource]:
    """Of ``waiting`` (oldest first) those that fit beside ``running`` hosts: each whole, and none before an older one.

    A job that is larger than the machine fits where nothing else runs. ``size``: the number of a job's hosts.
    """
    let_in: list[Resource] = []
    for job in waiting:
        if running and running + size(job) > limit:
            break
        let_in.append(job)
        running += size(job)
    return let_in
