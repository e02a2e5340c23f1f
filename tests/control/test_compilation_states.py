from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from darkroom.control.resources import Kind, Resource
from darkroom.control.states import compilation
from darkroom.control.states.compilation import State
from darkroom.control.states.decision import Facts, Forget, Start, Stop, Upload
from darkroom.errors import Conflict
from darkroom.executors.base import Observation, Phase
from darkroom.settings import Settings
from tests.control import values
from tests.control.values import CREATED, ENDED_WELL, NOW

SETTINGS = Settings(stop_grace_s=120)
STARTED = {"started": CREATED.isoformat()}
SEEN = {
    "absent": Observation(Phase.ABSENT),
    "staging": Observation(Phase.STAGING),
    "running": Observation(Phase.RUNNING, running_at=CREATED),
    "packing": Observation(Phase.PACKING, exit_code=0, running_at=CREATED),
    "staging failed": Observation(Phase.ENDED, failure="no object s3://b/k", ended_at=NOW),
    "ended well": ENDED_WELL,
    "ended badly": replace(ENDED_WELL, exit_code=2, failure="ClientError: InputConfiguration: no"),
    "ended without archive": replace(ENDED_WELL, model_archive=None),
    "lost": Observation(Phase.LOST, running_at=CREATED),
}


def job(state: str, observed: dict[str, Any] | None = None) -> Resource:
    status = compilation.STATUS[State(state)]
    return replace(values.job(state, observed, status), kind=Kind.COMPILATION_JOB)


TASK = compilation.task_id(job("pending"))
# What a job in each state becomes (or stays), and does, for every observation.
FAILING = {
    "staging failed": ("failed", ()),
    "ended badly": ("failed", ()),
    "ended without archive": ("failed", ()),
    "lost": ("failed", ()),
}
EXPECTED: dict[str, dict[str, tuple[str, tuple[Any, ...]]]] = {
    "pending": dict.fromkeys(SEEN, ("pending", ())),
    "starting": FAILING
    | {"absent": ("starting", (Start(TASK),)), "ended well": ("uploading", ())}
    | dict.fromkeys(("staging", "running", "packing"), ("compiling", ())),
    "compiling": FAILING
    | {"absent": ("failed", ()), "ended well": ("uploading", ())}
    | dict.fromkeys(("staging", "running", "packing"), ("compiling", ())),
    "uploading": FAILING
    | {"absent": ("failed", ()), "ended well": ("uploading", (Upload(TASK),))}
    | dict.fromkeys(("staging", "running", "packing"), ("uploading", ())),
    "stopping": dict.fromkeys(SEEN, ("stopped", ()))
    | dict.fromkeys(("staging", "running"), ("stopping", (Stop(TASK, 120),)))
    | {"packing": ("stopping", ())},
}
for state in ("completed", "failed", "stopped"):
    EXPECTED[state] = {seen: (state, () if seen == "absent" else (Forget(TASK),)) for seen in SEEN}


def facts(seen: Observation) -> Facts:
    return Facts({TASK: seen})


@pytest.mark.parametrize(("state", "seen"), list(product(State, SEEN)))
def test_every_state_meets_every_observation(state: str, seen: str) -> None:
    before = job(state, {} if state in ("pending", "starting") else STARTED)
    decision = compilation.decide(before, facts(SEEN[seen]), NOW, SETTINGS)
    becomes, actions = EXPECTED[state][seen]
    assert (decision.change.state if decision.change else state, decision.actions) == (becomes, actions)
    if decision.change is not None:
        assert decision.change.status == compilation.STATUS[State(becomes)]


def test_completed_comes_after_the_upload() -> None:
    decision = compilation.decide(job("uploading", STARTED | {"uploaded": True}), facts(ENDED_WELL), NOW, SETTINGS)
    assert decision.change is not None
    assert (decision.change.status, "reason" in decision.change.observed) == ("COMPLETED", False)


def test_the_users_fault_is_told_as_the_compiler_said_it() -> None:
    decision = compilation.decide(job("compiling", STARTED), facts(SEEN["ended badly"]), NOW, SETTINGS)
    assert decision.change is not None
    assert decision.change.observed["reason"] == "ClientError: InputConfiguration: no"


def test_an_upload_that_is_refused_fails_the_job() -> None:
    refused = job("uploading", STARTED | {"upload_failure": "no bucket named 'gone'"})
    decision = compilation.decide(refused, facts(ENDED_WELL), NOW, SETTINGS)
    assert decision.change is not None
    assert decision.change.observed["reason"] == "ClientError: Artifact upload failed: no bucket named 'gone'"


def test_a_job_over_its_time_is_stopped_with_a_reason() -> None:
    late = CREATED + timedelta(seconds=100)  # MaxRuntimeInSeconds
    decision = compilation.decide(job("compiling", STARTED), facts(SEEN["running"]), late, SETTINGS)
    assert decision.change is not None
    assert decision.change.status == "STOPPING"
    assert "MaxRuntimeInSeconds" in decision.change.observed["reason"]


def test_waiting_is_told_once() -> None:
    told = compilation.hold(job("pending"), NOW)
    assert told.change is not None
    assert compilation.hold(job("pending", {"waited": True}), NOW).change is None


@pytest.mark.parametrize("state", compilation.ENDED)
def test_what_has_ended_cannot_be_stopped(state: State) -> None:
    with pytest.raises(Conflict, match="is in status"):
        compilation.stop(job(state), NOW)


@pytest.mark.parametrize("state", [s for s in State if s not in compilation.ENDED])
def test_what_has_not_ended_cannot_be_deleted(state: State) -> None:
    with pytest.raises(Conflict, match="stop it, and delete it when it has ended"):
        compilation.refuse_running(job(state))
