"""What services may know of a resource: its request, its status in users' words, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from darkroom.contract.metrics import MetricDefinition
from darkroom.control.compilation_plans import artifact_url, target_name
from darkroom.control.locations import model_url
from darkroom.control.resources import Event, Resource, Transition, transitions
from darkroom.control.states import endpoint as endpoint_states
from darkroom.control.states import training, workers
from darkroom.control.states.fleet import Fleet


@dataclass(frozen=True)
class Snapshot:
    """Any resource. ``request`` has AWS's member names, as it was given."""

    name: str
    arn: str
    request: Mapping[str, Any]
    status: str
    created: datetime
    modified: datetime


@dataclass(frozen=True)
class Metric:
    name: str
    value: float
    at: datetime


@dataclass(frozen=True)
class TrainingJob(Snapshot):
    """``started`` to ``ended`` is what AWS bills; ``training_s`` its length in whole seconds, at least 1."""

    secondary_status: str
    transitions: Sequence[Transition]
    reason: str
    started: datetime | None
    ended: datetime | None
    training_s: int | None
    model_url: str
    metrics: Sequence[Metric]
    definitions: Sequence[MetricDefinition]


@dataclass(frozen=True)
class CompilationJob(Snapshot):
    """``artifact_url``: where the artifact is, or will be. ``digest``: its SHA-256 in hex, once it is there."""

    reason: str
    started: datetime | None
    ended: datetime | None
    artifact_url: str
    digest: str
    target: str


@dataclass(frozen=True)
class VariantStatus:
    name: str
    image: str
    current_weight: float
    desired_weight: float
    current_count: int
    desired_count: int


@dataclass(frozen=True)
class Endpoint(Snapshot):
    config: str
    reason: str
    variants: Sequence[VariantStatus]


def snapshot(resource: Resource) -> Snapshot:
    return Snapshot(**_shared(resource))


def training_job(job: Resource, events: Sequence[Event], definitions: Sequence[MetricDefinition]) -> TrainingJob:
    over = job.state in training.ENDED
    story = transitions(events, over)
    started, ended = _time(job, "started"), _time(job, "ended")
    return TrainingJob(
        **_shared(job) | {"request": {**job.request, **job.desired}},
        secondary_status=story[-1].status,
        transitions=story,
        reason=job.observed.get("reason", ""),
        started=started,
        ended=ended,
        training_s=max(1, ceil((ended - started).total_seconds())) if started and ended else None,
        model_url=model_url(job.request),
        metrics=[
            Metric(name, value, datetime.fromisoformat(at))
            for name, (value, at) in job.observed.get("metrics", {}).items()
        ],
        definitions=definitions,
    )


def compilation_job(job: Resource) -> CompilationJob:
    return CompilationJob(
        **_shared(job),
        reason=job.observed.get("reason", ""),
        started=_time(job, "started"),
        ended=_time(job, "ended"),
        artifact_url=artifact_url(job.request),
        digest=job.observed.get("digest", ""),
        target=target_name(job.request["OutputConfig"]),
    )


def endpoint(resource: Resource) -> Endpoint:
    wanted, serving = endpoint_states.fleet_of(resource), endpoint_states.serving_fleet(resource)
    shown = serving or wanted
    return Endpoint(
        **_shared(resource),
        config=shown.config,
        reason=resource.observed.get("reason", ""),
        variants=[_variant(resource, shown, wanted, name) for name in (v.name for v in shown.variants)],
    )


def _variant(resource: Resource, shown: Fleet, wanted: Fleet, name: str) -> VariantStatus:
    now = shown.variant(name)
    assert now is not None
    then = wanted.variant(name) if wanted.generation == shown.generation else now
    then = then or now
    staff = [
        worker
        for worker in workers.workers_of(resource).values()
        if worker.ready and not worker.retired and (worker.variant, worker.generation) == (name, shown.generation)
    ]
    return VariantStatus(name, now.image, now.weight, then.weight, len(staff), then.count)


def _shared(resource: Resource) -> dict[str, Any]:
    return {name: getattr(resource, name) for name in ("name", "arn", "request", "status", "created", "modified")}


def _time(resource: Resource, name: str) -> datetime | None:
    text = resource.observed.get(name)
    return None if text is None else datetime.fromisoformat(text)
