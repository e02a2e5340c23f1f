from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from darkroom.control.resources import Resource
from darkroom.control.states import training
from darkroom.control.states.decision import Decision, Facts, Forget, Start, Stop, Upload
from darkroom.control.states.training import State
from darkroom.errors import Conflict
from darkroom.executors.base import Observation, Phase
from darkroom.settings import Settings
from tests.control.values import CREATED, ENDED_WELL, NOW, job

SETTINGS = Settings(stop_grace_s=120)
TASK = training.task_id(job("pending"))
STARTED = {"started": CREATED.isoformat()}
SEEN = {
    "absent": Observation(Phase.ABSENT),
    "staging": Observation(Phase.STAGING),
    "running": Observation(Phase.RUNNING, running_at=CREATED),
    "packing": Observation(Phase.PACKING, exit_code=0, running_at=CREATED),
    "staging failed": Observation(Phase.ENDED, failure="no object s3://b/k", ended_at=NOW),
    "ended well": ENDED_WELL,
    "ended badly": replace(ENDED_WELL, exit_code=1),
    "ended without archive": replace(ENDED_WELL, model_archive=None),
    "lost": Observation(Phase.LOST, running_at=CREATED),
}
# What a job in each state becomes (or stays), and does, for every observation.
EXPECTED: dict[str, dict[str, tuple[str, tuple[Any, ...]]]] = {
    "pending": dict.fromkeys(SEEN, ("pending", ())),
    "starting": {
        "absent": ("starting", (Start(TASK),)),
        "staging": ("downloading", ()),
        "running": ("training", ()),
        "packing": ("uploading", ()),
        "staging failed": ("failed", ()),
        "ended well": ("uploading", (Upload(TASK),)),
        "ended badly": ("uploading", (Upload(TASK),)),
        "ended without archive": ("completed", ()),
        "lost": ("failed", ()),
    },
}
for state in ("downloading", "training", "uploading"):
    EXPECTED[state] = EXPECTED["starting"] | {"absent": ("failed", ()), "staging": (state, ()), "running": (state, ())}
EXPECTED["downloading"]["running"] = ("training", ())
EXPECTED["training"]["packing"] = EXPECTED["uploading"]["packing"] = ("uploading", ())
EXPECTED["stopping"] = {
    "absent": ("stopped", ()),
    "staging": ("stopping", (Stop(TASK, 120),)),
    "running": ("stopping", (Stop(TASK, 120),)),
    "packing": ("stopping", ()),
    "staging failed": ("stopped", ()),
    "ended well": ("stopping", (Upload(TASK),)),
    "ended badly": ("stopping", (Upload(TASK),)),
    "ended without archive": ("stopped", ()),
    "lost": ("stopped", ()),
}
for state in ("completed", "failed", "stopped"):
    EXPECTED[state] = {seen: (state, () if seen == "absent" else (Forget(TASK),)) for seen in SEEN}


def facts(seen: Observation, tail: tuple[str, ...] = (), **found: Any) -> Facts:
    return Facts({TASK: seen}, {TASK: tail}, found)


def at(state: str) -> Resource:
    observed = {"stopping": {"ending": "Stopped"} | STARTED, "pending": {}, "starting": {}}.get(state, STARTED)
    return job(state, dict(observed), training.STATUS[State(state)])


def told(decision: Decision) -> list[tuple[str, str]]:
    return [(e.status, e.message) for e in decision.change.events] if decision.change else []


@pytest.mark.parametrize(("state", "seen"), list(product(State, SEEN)))
def test_every_state_meets_every_observation(state: str, seen: str) -> None:
    before = at(state)
    decision = training.decide(before, facts(SEEN[seen]), NOW, SETTINGS)
    becomes, actions = EXPECTED[state][seen]
    assert (decision.change.state if decision.change else state, decision.actions) == (becomes, actions)
    if decision.change is not None:
        assert decision.change.status == training.STATUS[State(becomes)]


def test_what_was_passed_over_is_told_in_order() -> None:
    done = replace(ENDED_WELL, model_archive=None)
    decision = training.decide(at("starting"), facts(done), NOW, SETTINGS)
    assert told(decision) == [
        ("Downloading", "Downloading input data"),
        ("Training", "Downloading the training image"),
        ("Training", "Training image download completed. Training in progress."),
        ("Uploading", "Uploading generated training model"),
        ("Completed", "Training job completed"),
    ]


def test_a_job_that_failed_staging_never_trained() -> None:
    decision = training.decide(at("starting"), facts(SEEN["staging failed"]), NOW, SETTINGS)
    assert told(decision) == [("Downloading", "Downloading input data"), ("Failed", "Training job failed")]
    assert decision.change is not None
    assert decision.change.observed["reason"] == "ClientError: Data download failed: no object s3://b/k"


def test_completed_comes_after_the_upload_and_never_before() -> None:
    uploading = training.decide(at("training"), facts(ENDED_WELL), NOW, SETTINGS)
    assert told(uploading) == [("Uploading", "Uploading generated training model")]
    uploaded = job("uploading", {**STARTED, "uploaded": True})
    completed = training.decide(uploaded, facts(ENDED_WELL), NOW, SETTINGS)
    assert told(completed) == [("Completed", "Training job completed")]


def test_an_upload_that_is_refused_fails_the_job() -> None:
    refused = job("uploading", {**STARTED, "upload_failure": "no bucket named 'gone'"})
    decision = training.decide(refused, facts(ENDED_WELL), NOW, SETTINGS)
    assert decision.change is not None
    assert decision.change.observed["reason"] == "ClientError: Artifact upload failed: no bucket named 'gone'"


def test_a_model_that_could_not_be_packed_fails_the_job() -> None:
    """The program ended well, and there is nothing to show for it: that is no Completed job."""
    seen = Observation(Phase.ENDED, exit_code=0, running_at=NOW, unpacked="cannot pack /opt/ml/model: File too large")
    decision = training.decide(job("uploading", STARTED), facts(seen), NOW, SETTINGS)
    assert decision.change is not None
    assert decision.change.state == "failed"
    assert "cannot pack /opt/ml/model: File too large" in decision.change.observed["reason"]


def test_what_can_never_start_fails() -> None:
    decision = training.decide(
        job("starting", {"start_failure": "no such image"}), facts(SEEN["absent"]), NOW, SETTINGS
    )
    assert told(decision) == [("Failed", "Training job failed")]
    assert decision.change is not None
    assert decision.change.observed["reason"] == "InternalServerError: it cannot be started: no such image"


def test_the_deadline_counts_from_training_start() -> None:
    running = facts(SEEN["running"])
    before, after = CREATED + timedelta(seconds=99.9), CREATED + timedelta(seconds=100)
    assert training.decide(at("training"), running, before, SETTINGS).check_at == CREATED + timedelta(seconds=100)
    late = training.decide(at("training"), running, after, SETTINGS)
    assert late.change is not None
    assert (late.change.state, late.change.observed["ending"]) == ("stopping", "MaxRuntimeExceeded")
    stopping = job("stopping", dict(late.change.observed))
    ended = training.decide(stopping, facts(replace(ENDED_WELL, model_archive=None)), after, SETTINGS)
    assert told(ended)[-1] == ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided")
    assert ended.change is not None
    assert ended.change.status == "Stopped"


def test_spot_jobs_wait_no_longer_than_they_say() -> None:
    limits = {"MaxRuntimeInSeconds": 5, "MaxWaitTimeInSeconds": 60}
    spot = job("pending", EnableManagedSpotTraining=True, StoppingCondition=limits)
    assert training.decide(spot, facts(SEEN["absent"]), NOW, SETTINGS).check_at == CREATED + timedelta(seconds=60)
    late = training.decide(spot, facts(SEEN["absent"]), CREATED + timedelta(seconds=60), SETTINGS)
    assert late.change is not None
    assert late.change.observed["ending"] == "MaxWaitTimeExceeded"
    patient = job("pending", StoppingCondition=limits)
    assert training.decide(patient, facts(SEEN["absent"]), CREATED + timedelta(days=1), SETTINGS) == Decision()


def test_waiting_is_told_once_and_admission_in_the_words_of_waiting() -> None:
    waits = training.hold(job("pending"), NOW)
    assert told(waits) == [("Pending", "Training job waiting for capacity")]
    waiting = job("pending", {"waited": True})
    assert training.hold(waiting, NOW) == Decision()
    assert told(training.admit(waiting, NOW)) == [("Pending", "Preparing the instances for training")]
    assert told(training.admit(job("pending"), NOW)) == [
        ("Starting", "Launching requested ML instances"),
        ("Starting", "Preparing the instances for training"),
    ]


@pytest.mark.parametrize("state", State)
def test_stop_in_every_state(state: State) -> None:
    if state in training.ENDED:
        with pytest.raises(Conflict, match=f"the training job is in status {training.STATUS[state]}"):
            training.stop(at(state), NOW)
        return
    decision = training.stop(at(state), NOW)
    if state is State.STOPPING:
        assert decision == Decision()
        return
    assert told(decision) == [("Stopping", "Stopping the training job")]
    assert decision.change is not None
    assert decision.change.status == "Stopping"


def test_stopping_tells_of_an_upload_once() -> None:
    stopping = at("stopping")
    packing = training.decide(stopping, facts(SEEN["packing"]), NOW, SETTINGS)
    assert told(packing) == [("Uploading", "Uploading generated training model")]
    assert packing.change is not None
    later = job("stopping", dict(packing.change.observed))
    assert told(training.decide(later, facts(ENDED_WELL), NOW, SETTINGS)) == []
    uploading = job("uploading", STARTED)
    stopped = training.stop(uploading, NOW)
    assert stopped.change is not None
    assert told(training.decide(job("stopping", dict(stopped.change.observed)), facts(ENDED_WELL), NOW, SETTINGS)) == []


def test_what_was_found_is_remembered_even_where_nothing_else_changes() -> None:
    decision = training.decide(at("training"), facts(SEEN["running"], metrics={"m": [1, "t"]}), NOW, SETTINGS)
    assert decision.change is not None
    assert decision.change.observed["metrics"] == {"m": [1, "t"]}
    assert told(decision) == []
