"""What deciding needs to know and what it answers. Values only: nothing here reads a clock, a file or a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from darkroom.control.resources import Change, Event, Resource
from darkroom.control.routes import Route
from darkroom.executors.base import Observation


@dataclass(frozen=True)
class Start:
    """Start the task of this id; its plan follows from the resource. Starting it twice is one start."""

    task_id: str


@dataclass(frozen=True)
class Stop:
    task_id: str
    grace_s: float


@dataclass(frozen=True)
class Forget:
    task_id: str


@dataclass(frozen=True)
class Upload:
    """Put what the task packed where the request wants it. Answers ``uploaded`` or ``upload_failure``."""

    task_id: str


@dataclass(frozen=True)
class Publish:
    route: Route


@dataclass(frozen=True)
class Withdraw:
    endpoint: str


Action = Start | Stop | Forget | Upload | Publish | Withdraw


@dataclass(frozen=True)
class Facts:
    """What was seen of a resource's tasks. ``found`` is to be remembered (metrics read so far, …)."""

    tasks: Mapping[str, Observation]
    tails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # last log lines of tasks that ended badly
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """First ``change`` is written (None: nothing new), then ``actions`` are done in order, then it is decided again
    where something changed; else the next look is at ``check_at`` (None: when woken)."""

    change: Change | None = None
    actions: tuple[Action, ...] = ()
    check_at: datetime | None = None


def changed(
    resource: Resource,
    *,
    state: str | None = None,
    status: str | None = None,
    events: tuple[Event, ...] = (),
    observed: Mapping[str, Any] | None = None,
    desired: Mapping[str, Any] | None = None,
    check_at: datetime | None = None,
    gone: bool = False,
) -> Change | None:
    """The change from what ``resource`` is to what is named; None where that is nothing."""
    change = Change(
        state=resource.state if state is None else state,
        status=resource.status if status is None else status,
        desired=resource.desired if desired is None else desired,
        observed=resource.observed if observed is None else observed,
        events=events,
        next_check_at=check_at,
        gone=gone,
    )
    same = (change.state, change.status, change.desired, change.observed) == (
        resource.state,
        resource.status,
        resource.desired,
        resource.observed,
    )
    return None if same and not events and not gone else change
