"""Resources and observations for tests of decisions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from darkroom.control.resources import Kind, Resource
from darkroom.control.states.fleet import Fleet, VariantPlan, to_json
from darkroom.executors.base import Observation, Phase

CREATED = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NOW = CREATED + timedelta(seconds=10)
ENDED_WELL = Observation(
    Phase.ENDED, exit_code=0, running_at=CREATED, ended_at=NOW, model_archive=Path("/tasks/model.tar.gz")
)


def job(state: str, observed: dict[str, Any] | None = None, status: str = "InProgress", **request: Any) -> Resource:
    return Resource(
        id=7,
        kind=Kind.TRAINING_JOB,
        name="job",
        arn="arn:aws:sagemaker:us-east-1:0:training-job/job",
        request={"TrainingJobName": "job", "StoppingCondition": {"MaxRuntimeInSeconds": 100}} | request,
        state=state,
        status=status,
        desired={},
        observed=observed or {},
        version=3,
        created=CREATED,
        modified=CREATED,
    )


def fleet(generation: int = 1, config: str = "config", **counts: int) -> Fleet:
    plans = (VariantPlan(name, "model", "image", "", 1.0, count) for name, count in (counts or {"v": 1}).items())
    return Fleet(config, generation, tuple(plans))


def endpoint(state: str, wanted: Fleet, observed: dict[str, Any] | None = None, status: str = "Creating") -> Resource:
    return Resource(
        id=9,
        kind=Kind.ENDPOINT,
        name="e",
        arn="arn:aws:sagemaker:us-east-1:0:endpoint/e",
        request={"EndpointName": "e", "EndpointConfigName": wanted.config},
        state=state,
        status=status,
        desired={"fleet": to_json(wanted)},
        observed=observed or {},
        version=3,
        created=CREATED,
        modified=CREATED,
    )


def running(socket: str = "/s/1", ready: bool = True, since: datetime = CREATED) -> Observation:
    return Observation(Phase.RUNNING, ready=ready, socket=Path(socket), running_at=since)
