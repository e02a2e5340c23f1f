"""The values control is about: resources, their events, and what one decision asks for.

A resource is one thing a user made (a training job, a model, …). Its request is kept verbatim; everything else is what
became of it. Knows no SQL, no process and no clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a resource is; the value is the word in its ARN."""

    TRAINING_JOB = "training-job"
    COMPILATION_JOB = "compilation-job"
    MODEL = "model"
    ENDPOINT_CONFIG = "endpoint-config"
    ENDPOINT = "endpoint"


@dataclass(frozen=True)
class Event:
    """Something users may know happened: ``status`` is the phase it belongs to, ``message`` the words they read."""

    at: datetime
    status: str
    message: str


@dataclass(frozen=True)
class Resource:
    """One row. ``desired`` holds what was asked since the create request, ``observed`` what became of it so far."""

    id: int
    kind: Kind
    name: str
    arn: str
    request: Mapping[str, Any]
    state: str
    status: str
    desired: Mapping[str, Any]
    observed: Mapping[str, Any]
    version: int
    created: datetime
    modified: datetime
    next_check_at: datetime | None = None  # None: nothing to do until someone asks


@dataclass(frozen=True)
class Draft:
    """A resource about to be stored."""

    kind: Kind
    name: str
    arn: str
    request: Mapping[str, Any]
    state: str
    status: str
    desired: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Event] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    active: bool = False  # the reconciler has work to do


@dataclass(frozen=True)
class Change:
    """What a resource becomes: written whole with its events, or not at all."""

    state: str
    status: str
    desired: Mapping[str, Any]
    observed: Mapping[str, Any]
    events: Sequence[Event] = ()
    next_check_at: datetime | None = None
    gone: bool = False  # deleted for good; the name is free again


@dataclass(frozen=True)
class Transition:
    """Events of one status in a row, as users see them: the last message, from the first event to the next status."""

    status: str
    message: str
    started: datetime
    ended: datetime | None


def transitions(events: Sequence[Event], ended: bool) -> list[Transition]:
    """``events`` folded by status; the last one is closed too when the resource has ``ended``.

    Clients tell changes by the length of the list and the last message, so a status in progress changes in place.
    """
    found: list[Transition] = []
    for event in events:
        if found and found[-1].status == event.status:
            found[-1] = Transition(event.status, event.message, found[-1].started, None)
        else:
            if found:
                found[-1] = Transition(found[-1].status, found[-1].message, found[-1].started, event.at)
            found.append(Transition(event.status, event.message, event.at, None))
    if found and ended:
        found[-1] = Transition(found[-1].status, found[-1].message, found[-1].started, events[-1].at)
    return found
