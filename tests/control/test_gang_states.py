"""Jobs of several hosts, and jobs that are started again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from darkroom.control.resources import Resource
from darkroom.control.states import gang, training
from darkroom.control.states.decision import Decision, Facts, Forget, Start, Stop, Upload
from darkroom.executors.base import Observation, Phase
from darkroom.settings import Settings
from tests.control.values import CREATED, ENDED_WELL, NOW, job

SETTINGS = Settings(stop_grace_s=120)
STARTED = {"started": CREATED.isoformat()}
ABSENT, STAGING = Observation(Phase.ABSENT), Observation(Phase.STAGING)
RUNNING = Observation(Phase.RUNNING, running_at=CREATED)
PACKING = Observation(Phase.PACKING, exit_code=0, running_at=CREATED, ended_at=NOW)
WELL = replace(ENDED_WELL, model_archive=None)
KILLED = replace(WELL, exit_code=-9)
FAILED = replace(WELL, exit_code=1, failure="out of ideas")
LOST = Observation(Phase.LOST, running_at=CREATED)


def three(state: str, observed: dict[str, Any] | None = None, **request: Any) -> Resource:
    seen = {"starting": {}}.get(state, STARTED) if observed is None else observed
    return job(state, dict(seen), ResourceConfig={"InstanceCount": 3, "InstanceType": "ml.m5.large"}, **request)


def decide(before: Resource, *hosts: Observation, tails: dict[int, tuple[str, ...]] | None = None) -> Decision:
    tasks = training.task_ids(before)
    facts = Facts(dict(zip(tasks, hosts, strict=True)), {tasks[k]: tail for k, tail in (tails or {}).items()})
    return training.decide(before, facts, NOW, SETTINGS)


def becomes(decision: Decision) -> str | None:
    return decision.change.state if decision.change else None


def ids(before: Resource) -> tuple[str, ...]:
    return training.task_ids(before)


def test_every_host_and_attempt_has_a_task_of_its_own_that_names_its_job() -> None:
    before = three("starting")
    first = ids(before)
    again = ids(replace(before, observed={"attempt": 1}))
    assert len({*first, *again}) == 6
    assert {task.rpartition("-")[2] for task in (*first, *again)} == {"7"}
    assert first[0] == training.task_id(job("pending"))


@pytest.mark.parametrize("hosts", [(ABSENT,) * 3, (STAGING, ABSENT, RUNNING)])
def test_all_hosts_are_started_or_none(hosts: tuple[Observation, ...]) -> None:
    decision = decide(three("starting"), *hosts)
    assert decision.actions == tuple(Start(task) for task in ids(three("starting")))


@pytest.mark.parametrize(
    ("hosts", "state"),
    [
        ((STAGING, RUNNING, RUNNING), "downloading"),
        ((RUNNING, RUNNING, RUNNING), "training"),
        ((WELL, RUNNING, WELL), "training"),
        ((PACKING, WELL, WELL), "uploading"),
    ],
)
def test_a_gang_is_as_far_as_its_last_host(hosts: tuple[Observation, ...], state: str) -> None:
    assert becomes(decide(three("starting"), *hosts)) == state


def test_the_first_hosts_model_is_the_artifact_and_all_must_have_ended_well() -> None:
    uploading = decide(three("training"), ENDED_WELL, WELL, WELL)
    assert uploading.actions == (Upload(ids(three("training"))[0]),)
    assert becomes(decide(three("uploading", {**STARTED, "uploaded": True}), ENDED_WELL, WELL, WELL)) == "completed"


@pytest.mark.parametrize("fault", [FAILED, KILLED, LOST, replace(PACKING, exit_code=2)])
def test_one_hosts_end_ends_the_others(fault: Observation) -> None:
    before = three("training")
    decision = decide(before, RUNNING, fault, STAGING)
    assert decision.change is None
    assert decision.actions == tuple(Stop(ids(before)[k], training.GANG_GRACE_S) for k in (0, 2))


def test_the_host_that_failed_first_is_named() -> None:
    later = replace(FAILED, failure="Connection closed by peer", ended_at=NOW + timedelta(seconds=1))
    decision = decide(three("training"), later, FAILED, replace(KILLED, ended_at=later.ended_at))
    assert decision.change is not None
    assert decision.change.observed["reason"] == "AlgorithmError: algo-2: out of ideas, exit code: 1"


def test_a_lost_host_is_named_and_so_is_the_line_of_a_killed_one() -> None:
    lost = decide(three("training"), KILLED, KILLED, LOST)
    assert lost.change is not None
    assert lost.change.observed["reason"].startswith("InternalServerError: algo-3: the process that ran the job is go")
    killed = decide(three("training"), replace(KILLED, ended_at=CREATED), WELL, FAILED, tails={0: ("step 7",)})
    assert killed.change is not None
    assert killed.change.observed["reason"].startswith("InternalServerError: algo-1: the process was ended by SIGKILL")
    assert killed.change.observed["reason"].endswith("step 7")


def test_a_host_that_vanished_with_its_records_is_lost() -> None:
    assert becomes(decide(three("training"), WELL, ABSENT, WELL)) == "failed"


def test_stopping_reaches_every_host_that_runs() -> None:
    before = three("stopping", {"ending": "Stopped"} | STARTED)
    assert decide(before, RUNNING, WELL, STAGING).actions == tuple(Stop(ids(before)[k], 120) for k in (0, 2))
    stopped = replace(KILLED, exit_code=143)
    assert decide(before, replace(ENDED_WELL, exit_code=143), stopped, stopped).actions == (Upload(ids(before)[0]),)
    done = three("stopping", {"ending": "Stopped", "uploaded": True, "uploading": True} | STARTED)
    assert becomes(decide(done, replace(ENDED_WELL, exit_code=143), stopped, stopped)) == "stopped"


TERMED = replace(KILLED, exit_code=143)
PEER = replace(FAILED, failure="Connection closed by peer", ended_at=NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("hosts", "who"),
    [
        ((LOST, PEER, KILLED), "host algo-1 is gone"),
        ((PEER, KILLED, WELL), "host algo-2 was ended by signal 9"),
        ((TERMED, TERMED, TERMED), "host algo-1 was ended by signal 15"),  # the machine goes down in order
    ],
)
@pytest.mark.parametrize(
    ("asked", "whence"),
    [
        ({"RetryStrategy": {"MaximumRetryAttempts": 1}}, "from the beginning"),
        ({"CheckpointConfig": {"S3Uri": "s"}}, "from its last checkpoint"),
    ],
)
def test_what_was_ended_from_outside_is_started_again(
    hosts: tuple[Observation, ...], who: str, asked: dict[str, Any], whence: str
) -> None:
    before = three("training", **asked)
    decision = decide(before, *hosts)
    assert decision.change is not None
    assert (decision.change.state, decision.change.observed["attempt"]) == ("starting", 1)
    assert decision.change.observed["started"] == STARTED["started"]
    assert decision.actions == tuple(Forget(task) for task in ids(before))
    (told,) = decision.change.events
    assert told.status == "Restarting"
    assert told.message.startswith(f"Restarting the training job {whence}: {who} (attempt 2 of ")


def test_a_spot_job_is_interrupted() -> None:
    before = job("training", STARTED, CheckpointConfig={"S3Uri": "s"}, EnableManagedSpotTraining=True)
    decision = decide(before, LOST)
    assert decision.change is not None
    (told,) = decision.change.events
    assert (told.status, told.message) == (
        "Interrupted",
        "Restarting the training job from its last checkpoint: the process is gone (attempt 2 of 6)",
    )


@pytest.mark.parametrize(
    ("before", "hosts"),
    [
        (three("training"), (KILLED, KILLED, KILLED)),  # nobody asked for it
        (three("training", RetryStrategy={"MaximumRetryAttempts": 1}), (FAILED, WELL, WELL)),  # it would fail again
        (three("training", {**STARTED, "attempt": 1}, RetryStrategy={"MaximumRetryAttempts": 1}), (LOST, LOST, LOST)),
        (three("training", RetryStrategy={"MaximumRetryAttempts": 1}), (replace(KILLED, failure="said"), WELL, WELL)),
    ],
)
def test_what_is_not_started_again(before: Resource, hosts: tuple[Observation, ...]) -> None:
    assert becomes(decide(before, *hosts)) == "failed"


def test_a_restart_waits_until_every_host_is_over() -> None:
    before = three("training", CheckpointConfig={"S3Uri": "s"})
    decision = decide(before, replace(PACKING, exit_code=-15), KILLED, WELL)
    assert becomes(decision) is None
    assert decision.check_at
    assert decision.actions == ()


def test_what_any_attempt_left_is_forgotten_at_the_end() -> None:
    before = job("completed", {**STARTED, "attempt": 1})
    first, second = training.task_id(before, attempt=0), training.task_id(before)
    facts = Facts({first: LOST, second: WELL})
    assert training.decide(before, facts, NOW, SETTINGS).actions == (Forget(first), Forget(second))


def test_a_spot_jobs_patience_counts_from_its_creation() -> None:
    limits = {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 100}
    late = {"started": (NOW + timedelta(seconds=30)).isoformat()}
    spot = job("training", late, StoppingCondition=limits, EnableManagedSpotTraining=True)
    facts = Facts({training.task_id(spot): RUNNING})
    now = CREATED + timedelta(seconds=100)
    decision = training.decide(spot, facts, now, SETTINGS)
    assert decision.change is not None
    assert (decision.change.state, decision.change.observed["ending"]) == ("stopping", "MaxWaitTimeExceeded")


def test_of_one_host_the_gang_is_that_host() -> None:
    for seen in (ABSENT, STAGING, RUNNING, PACKING, KILLED, LOST):
        assert gang.together([seen]) is seen
