"""A compilation job's life, decided without doing anything: what its task shows now → what it becomes and what to do.

    pending → starting → compiling → uploading → completed | failed
        └────────┴──────────┴─ stopping ─┘  → stopped

States are ours; the status words are AWS's, in capitals as for these jobs.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from darkroom.control.resources import Event, Resource
from darkroom.control.states import reasons
from darkroom.control.states.decision import Decision, Facts, Forget, Start, Stop, Upload, changed
from darkroom.errors import Conflict
from darkroom.executors.base import Observation, Phase
from darkroom.settings import Settings

DEFAULT_MAX_RUNTIME_S = 900
LOOK_EVERY = timedelta(seconds=2)


class State(StrEnum):
    PENDING = "pending"  # waits for capacity
    STARTING = "starting"
    COMPILING = "compiling"
    UPLOADING = "uploading"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


ENDED = (State.COMPLETED, State.FAILED, State.STOPPED)
HOLDS_CAPACITY = tuple(s for s in State if s not in (State.PENDING, *ENDED))
STATUS = {
    State.PENDING: "STARTING",
    State.STARTING: "STARTING",
    State.COMPILING: "INPROGRESS",
    State.UPLOADING: "INPROGRESS",
    State.STOPPING: "STOPPING",
    State.COMPLETED: "COMPLETED",
    State.FAILED: "FAILED",
    State.STOPPED: "STOPPED",
}
TOLD = {
    State.PENDING: "The compilation job was accepted",
    State.STARTING: "Preparing the compilation",
    State.COMPILING: "Compiling the model",
    State.UPLOADING: "Uploading the compiled model",
    State.STOPPING: "Stopping the compilation job",
    State.COMPLETED: "Compilation job completed",
    State.FAILED: "Compilation job failed",
    State.STOPPED: "Compilation job stopped",
}


def task_id(job: Resource) -> str:
    """The id of the job's task; unique even where two databases share one folder of tasks."""
    return f"{job.name}-{int(job.created.timestamp() * 1000)}-{job.id}"


def accepted(now: datetime) -> tuple[Event, ...]:
    """What is told when the request is accepted."""
    return _told(State.PENDING, now)


def admit(job: Resource, now: datetime) -> Decision:
    """Capacity was found for a pending job."""
    return _become(job, State.STARTING, now, job.observed)


def hold(job: Resource, now: datetime) -> Decision:
    """No capacity for a pending job: say so, once."""
    if job.observed.get("waited"):
        return Decision()
    told = (Event(now, STATUS[State.PENDING], "Compilation job waiting for capacity"),)
    return Decision(changed(job, events=told, observed={**job.observed, "waited": True}))


def stop(job: Resource, now: datetime) -> Decision:
    """The user asks to stop. Raises Conflict for a job that has ended."""
    if job.state in ENDED:
        said = f"The request was rejected because the compilation job is in status {job.status}."
        raise Conflict(job.kind, job.name, said)
    return Decision() if job.state == State.STOPPING else _become(job, State.STOPPING, now, job.observed)


def refuse_running(job: Resource) -> None:
    """Only what has ended can be deleted. Raises Conflict."""
    if job.state not in ENDED:
        said = f"The compilation job is in status {job.status}: stop it, and delete it when it has ended."
        raise Conflict(job.kind, job.name, said)


def decide(job: Resource, facts: Facts, now: datetime, settings: Settings) -> Decision:
    """The next step of one job, from its task's observation."""
    task = task_id(job)
    seen = facts.tasks[task]
    if job.state in ENDED:
        return Decision() if seen.phase is Phase.ABSENT else Decision(actions=(Forget(task),))
    if job.state == State.PENDING:
        return Decision()  # the scheduler admits
    if job.state == State.STOPPING:
        return _while_stopping(job, task, seen, now, settings)
    return _while_running(job, task, facts, now)


def _while_running(job: Resource, task: str, facts: Facts, now: datetime) -> Decision:
    seen = facts.tasks[task]
    if "start_failure" in job.observed:
        return _finish(job, now, reasons.of_start(job.observed["start_failure"]))
    if seen.phase is Phase.ABSENT and job.state == State.STARTING:
        return Decision(actions=(Start(task),), check_at=now + LOOK_EVERY)
    if seen.phase in (Phase.ABSENT, Phase.LOST):
        return _finish(job, now, reasons.of_job(seen, facts.tails.get(task, ())))
    if seen.phase is Phase.ENDED:
        return _after_the_end(job, task, facts, now)
    if job.state == State.STARTING:
        return _become(job, State.COMPILING, now, {**job.observed, "started": now.isoformat()})
    if seen.phase is not Phase.PACKING and now >= _deadline(job, now):
        said = "MaxRuntimeInSeconds of StoppingCondition was exceeded: allow more time"
        return _become(job, State.STOPPING, now, {**job.observed, "reason": said})
    return Decision(check_at=min(_deadline(job, now), now + LOOK_EVERY))


def _after_the_end(job: Resource, task: str, facts: Facts, now: datetime) -> Decision:
    """The process has ended and its output is packed: upload it, then tell how it ended."""
    seen = facts.tasks[task]
    if seen.exit_code != 0:
        return _finish(job, now, reasons.of_job(seen, facts.tails.get(task, ())))
    lost = job.observed.get("upload_failure") or seen.unpacked
    if lost or seen.model_archive is None:
        return _finish(job, now, reasons.of_upload(lost or "the compiler left no artifact"))
    if not job.observed.get("uploaded"):
        if job.state != State.UPLOADING:
            return _become(job, State.UPLOADING, now, {"started": now.isoformat(), **job.observed})
        return Decision(actions=(Upload(task),), check_at=now)
    return _finish(job, now, "")


def _while_stopping(job: Resource, task: str, seen: Observation, now: datetime, settings: Settings) -> Decision:
    if seen.phase in (Phase.STAGING, Phase.RUNNING):
        return Decision(actions=(Stop(task, settings.stop_grace_s),), check_at=now + LOOK_EVERY)
    if seen.phase is Phase.PACKING:
        return Decision(check_at=now + LOOK_EVERY)
    return _become(job, State.STOPPED, now, {**job.observed, "ended": now.isoformat()})


def _finish(job: Resource, now: datetime, reason: str) -> Decision:
    state = State.FAILED if reason else State.COMPLETED
    final = {**job.observed, "ended": now.isoformat()} | ({"reason": reason} if reason else {})
    return _become(job, state, now, final)


def _become(job: Resource, state: State, now: datetime, observed: Mapping[str, Any]) -> Decision:
    told = _told(state, now)
    return Decision(
        changed(job, state=state, status=STATUS[state], events=told, observed=observed, check_at=now), check_at=now
    )


def _told(state: State, now: datetime) -> tuple[Event, ...]:
    return (Event(now, STATUS[state], TOLD[state]),)


def _deadline(job: Resource, now: datetime) -> datetime:
    """When MaxRuntimeInSeconds runs out, counted from CompilationStartTime."""
    begin = datetime.fromisoformat(job.observed["started"]) if "started" in job.observed else now
    limit = job.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
    return begin + timedelta(seconds=limit)
