"""A training job's life, decided without doing anything: what its task shows now → what it becomes and what to do.

    pending → starting → downloading → training → uploading → completed | failed
        │        ↑└───────────┴─────────────┴──────────┘ again, from the last checkpoint
        └────────┴────────── stopping ─────┴──────────┘  → stopped

States are ours; the status words and messages in events are AWS's, because clients print them and compare them.
An observation may be several phases ahead of the state: every status passed over is still told, in order.
A job has a task for each host and attempt. Hosts are started, and end, together (``gang``); one that fails ends all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from darkroom.control.resources import Event, Resource
from darkroom.control.states import again, gang, reasons
from darkroom.control.states.decision import Action, Decision, Facts, Forget, Start, Stop, Upload, changed
from darkroom.errors import Conflict
from darkroom.executors.base import Observation, Phase
from darkroom.settings import Settings

DEFAULT_MAX_RUNTIME_S = 86_400
METRICS_EVERY = timedelta(seconds=2)  # how often the log of a running job is read for metrics
GANG_GRACE_S = 10.0  # for hosts whose fellow has failed: there is nothing to save that it does not lack
HOST = "algo-"


class State(StrEnum):
    PENDING = "pending"  # waits for capacity
    STARTING = "starting"
    DOWNLOADING = "downloading"
    TRAINING = "training"
    UPLOADING = "uploading"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


ENDED = (State.COMPLETED, State.FAILED, State.STOPPED)
HOLDS_CAPACITY = tuple(s for s in State if s not in (State.PENDING, *ENDED))
STATUS = dict.fromkeys(State, "InProgress") | {
    State.STOPPING: "Stopping",
    State.COMPLETED: "Completed",
    State.FAILED: "Failed",
    State.STOPPED: "Stopped",
}
PATH = (State.STARTING, State.DOWNLOADING, State.TRAINING, State.UPLOADING)
TOLD = {
    State.PENDING: (("Starting", "Starting the training job"),),
    State.DOWNLOADING: (("Downloading", "Downloading input data"),),
    State.TRAINING: (
        ("Training", "Downloading the training image"),
        ("Training", "Training image download completed. Training in progress."),
    ),
    State.UPLOADING: (("Uploading", "Uploading generated training model"),),
    State.STOPPING: (("Stopping", "Stopping the training job"),),
    State.COMPLETED: (("Completed", "Training job completed"),),
    State.FAILED: (("Failed", "Training job failed"),),
}
ENDINGS = {
    "Stopped": ("Stopped", "Training job stopped"),
    "MaxPendingTimeExceeded": ("Stopped", "Training job waited longer than MaxPendingTimeInSeconds"),
    "MaxWaitTimeExceeded": ("MaxWaitTimeExceeded", "Training job waited longer than MaxWaitTimeInSeconds"),
    "MaxRuntimeExceeded": ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided"),
}


def task_id(job: Resource, host: int = 1, attempt: int | None = None) -> str:
    """The id of one host's task, of the present attempt or another; unique even where two databases share one folder
    of tasks."""
    attempt = attempt_of(job) if attempt is None else attempt
    which = f"-a{attempt}-h{host}" if host > 1 or attempt else ""
    return f"{job.name}-{int(job.created.timestamp() * 1000)}{which}-{job.id}"


def task_ids(job: Resource, attempt: int | None = None) -> tuple[str, ...]:
    """Of every host, the first one's first."""
    return tuple(task_id(job, host, attempt) for host in range(1, hosts_of(job) + 1))


def hosts_of(job: Resource) -> int:
    return max(1, int(job.request.get("ResourceConfig", {}).get("InstanceCount", 1)))


def attempt_of(job: Resource) -> int:
    """How often the job was started again; 0 at first."""
    return int(job.observed.get("attempt", 0))


def accepted(now: datetime) -> tuple[Event, ...]:
    """What is told when the request is accepted."""
    return _told(State.PENDING, now)


def admit(job: Resource, now: datetime) -> Decision:
    """Capacity was found for a pending job."""
    waited = bool(job.observed.get("waited"))
    messages = (
        [("Pending", "Preparing the instances for training")]
        if waited
        else [
            ("Starting", "Launching requested ML instances"),
            ("Starting", "Preparing the instances for training"),
        ]
    )
    told = tuple(Event(now, *message) for message in messages)
    observed = {**job.observed, "admitted": now.isoformat()}
    return Decision(changed(job, state=State.STARTING, events=told, observed=observed, check_at=now))


def hold(job: Resource, now: datetime) -> Decision:
    """No capacity for a pending job: say so, once."""
    if job.observed.get("waited"):
        return Decision()
    told = (Event(now, "Pending", "Training job waiting for capacity"),)
    return Decision(changed(job, events=told, observed={**job.observed, "waited": True}))


def stop(job: Resource, now: datetime) -> Decision:
    """The user asks to stop. Raises Conflict for a job that has ended."""
    _refuse_ended(job)
    if job.state == State.STOPPING:
        return Decision()
    return _stopping(job, job.observed, "Stopped", now)


def update(job: Resource, changes: Mapping[str, Any]) -> Decision:
    """The user changes members of the request. Raises Conflict for a job that has ended."""
    _refuse_ended(job)
    return Decision(changed(job, desired={**job.desired, **changes}, check_at=job.next_check_at))


def refuse_running(job: Resource) -> None:
    """Only what has ended can be deleted. Raises Conflict."""
    if job.state not in ENDED:
        said = f"The training job is in status {job.status}: stop it, and delete it when it has ended."
        raise Conflict(job.kind, job.name, said)


def _refuse_ended(job: Resource) -> None:
    if job.state in ENDED:
        said = f"The request was rejected because the training job is in status {job.status}."
        raise Conflict(job.kind, job.name, said)


def decide(job: Resource, facts: Facts, now: datetime, settings: Settings) -> Decision:
    """The next step of one job, from its tasks' observations."""
    job_now = replace(job, observed={**job.observed, **facts.found})
    if job.state in ENDED:
        decision = _clean(facts)
    elif job.state == State.PENDING:
        decision = _while_waiting(job, now)
    elif job.state == State.STOPPING:
        decision = _while_stopping(job_now, facts, now, settings)
    else:
        decision = _while_running(job_now, facts, now)
    if decision.change is None and facts.found:
        return replace(decision, change=changed(job, observed=job_now.observed, check_at=decision.check_at))
    return decision


def _while_waiting(job: Resource, now: datetime) -> Decision:
    """The scheduler admits; here the patience of the request runs out."""
    limits = job.request.get("StoppingCondition", {})
    ends = {"MaxPendingTimeExceeded": limits.get("MaxPendingTimeInSeconds")}
    if job.request.get("EnableManagedSpotTraining"):
        ends["MaxWaitTimeExceeded"] = limits.get("MaxWaitTimeInSeconds")
    given = [(job.created + timedelta(seconds=s), ending) for ending, s in ends.items() if s is not None]
    if not given:
        return Decision()
    due, ending = min(given)
    return Decision(check_at=due) if now < due else _stopping(job, job.observed, ending, now)


def _while_running(job: Resource, facts: Facts, now: datetime) -> Decision:
    if "start_failure" in job.observed:
        return _finish(job, job.observed, now, (), reasons.of_start(job.observed["start_failure"]))
    hosts = _hosts(job, facts)
    if (fault := gang.first_fault(hosts)) is not None:
        if waited_for := _others_on_the_way(job, hosts):
            return Decision(actions=waited_for, check_at=now + METRICS_EVERY)
        if again.allowed(job, hosts[fault]):
            over = all(seen.phase not in gang.ON_THE_WAY for seen in hosts)
            return _again(job, now, fault, hosts[fault]) if over else Decision(check_at=now + METRICS_EVERY)
    seen = gang.together(hosts)
    if seen.phase is Phase.ABSENT:
        return Decision(actions=tuple(Start(task) for task in task_ids(job)), check_at=now + METRICS_EVERY)
    if seen.phase is Phase.LOST:
        return _finish(job, job.observed, now, (), _reason(job, facts))
    if seen.phase is Phase.ENDED and seen.running_at is None and seen.exit_code is None:
        told, observed = _passed(job, State.DOWNLOADING, now)  # staging failed: it never trained
        return _finish(job, observed, now, told, _reason(job, facts))
    deadline, ending = _deadline(job, now)
    if seen.phase in (Phase.STAGING, Phase.RUNNING) and now >= deadline:
        told, observed = _passed(job, _state_of(seen.phase), now)
        return _stopping(job, observed, ending, now, told)
    if seen.phase is not Phase.ENDED:
        target = max(_state_of(seen.phase), State(job.state), key=PATH.index)
        told, observed = _passed(job, target, now)
        check_at = min(deadline, now + METRICS_EVERY)
        return Decision(changed(job, state=target, events=told, observed=observed, check_at=check_at), (), check_at)
    return _after_the_end(job, seen, facts, now)


def _hosts(job: Resource, facts: Facts) -> list[Observation]:
    """What is seen of each host. One that was started and is not known any more is lost."""
    hosts = [facts.tasks[task] for task in task_ids(job)]
    if job.state == State.STARTING:
        return hosts
    return [Observation(Phase.LOST) if seen.phase is Phase.ABSENT else seen for seen in hosts]


def _others_on_the_way(job: Resource, hosts: Sequence[Observation]) -> tuple[Action, ...]:
    """A host has failed: end those that still run, which may wait for it for ever."""
    if len(hosts) == 1:
        return ()
    running = (Phase.STAGING, Phase.RUNNING)
    pairs = zip(task_ids(job), hosts, strict=True)
    return tuple(Stop(task, GANG_GRACE_S) for task, seen in pairs if seen.phase in running)


def _again(job: Resource, now: datetime, host: int, seen: Observation) -> Decision:
    """Start all hosts anew, as another attempt; what the last one left is forgotten, but for its checkpoints."""
    told = Event(now, *again.told(job, f"{HOST}{host + 1}" if hosts_of(job) > 1 else "", seen))
    observed = {**job.observed, "attempt": attempt_of(job) + 1}
    change = changed(job, state=State.STARTING, events=(told,), observed=observed, check_at=now)
    return Decision(change, tuple(Forget(task) for task in task_ids(job)), now)


def _after_the_end(job: Resource, seen: Observation, facts: Facts, now: datetime) -> Decision:
    """Every process has ended and the output is packed: upload it, then tell how it ended."""
    told, observed = _passed(job, State.UPLOADING, now)
    if _to_upload(job, seen):
        change = changed(job, state=State.UPLOADING, events=told, observed=observed, check_at=now)
        return Decision(change, (Upload(task_id(job)),), now)
    if seen.exit_code != 0:
        return _finish(job, observed, now, told, _reason(job, facts))
    lost = observed.get("upload_failure") or seen.unpacked
    return _finish(job, observed, now, told, reasons.of_upload(lost) if lost else "")


def _reason(job: Resource, facts: Facts) -> str:
    """FailureReason: of the host that failed first, by its name where there are several."""
    hosts = _hosts(job, facts)
    fault = gang.first_fault(hosts) or 0
    task = task_ids(job)[fault]
    reason = reasons.of_job(hosts[fault], facts.tails.get(task, ()))
    return reasons.on_host(reason, f"{HOST}{fault + 1}") if len(hosts) > 1 else reason


def _while_stopping(job: Resource, facts: Facts, now: datetime, settings: Settings) -> Decision:
    tasks = task_ids(job)
    running = [task for task in tasks if facts.tasks[task].phase in (Phase.STAGING, Phase.RUNNING)]
    if running:
        actions = tuple(Stop(task, settings.stop_grace_s) for task in running)
        return Decision(actions=actions, check_at=now + METRICS_EVERY)
    seen = gang.together([facts.tasks[task] for task in tasks])
    told: tuple[Event, ...] = ()
    observed = job.observed
    if seen.phase in (Phase.PACKING, Phase.ENDED) and seen.running_at and not observed.get("uploading"):
        told, observed = _told(State.UPLOADING, now), {**observed, "uploading": True}
    if seen.phase is Phase.PACKING:
        check_at = now + METRICS_EVERY
        return Decision(changed(job, events=told, observed=observed, check_at=check_at), (), check_at)
    if seen.phase is Phase.ENDED and _to_upload(job, seen):
        return Decision(changed(job, events=told, observed=observed, check_at=now), (Upload(tasks[0]),), now)
    ending = ENDINGS[observed["ending"]]
    return Decision(
        changed(
            job,
            state=State.STOPPED,
            status=STATUS[State.STOPPED],
            events=(*told, Event(now, *ending)),
            observed={**observed, "ended": now.isoformat()},
            check_at=now,
        )
    )


def _clean(facts: Facts) -> Decision:
    """Of every attempt."""
    return Decision(actions=tuple(Forget(task) for task, seen in facts.tasks.items() if seen.phase is not Phase.ABSENT))


def _finish(
    job: Resource, observed: Mapping[str, Any], now: datetime, told: tuple[Event, ...], reason: str
) -> Decision:
    state = State.FAILED if reason else State.COMPLETED
    final = {**observed, "ended": now.isoformat()} | ({"reason": reason} if reason else {})
    events = (*told, *_told(state, now))
    return Decision(changed(job, state=state, status=STATUS[state], events=events, observed=final, check_at=now))


def _stopping(
    job: Resource, observed: Mapping[str, Any], ending: str, now: datetime, told: tuple[Event, ...] = ()
) -> Decision:
    return Decision(
        changed(
            job,
            state=State.STOPPING,
            status=STATUS[State.STOPPING],
            events=(*told, *_told(State.STOPPING, now)),
            observed={**observed, "ending": ending, "uploading": job.state == State.UPLOADING},
            check_at=now,
        )
    )


def _passed(job: Resource, target: State, now: datetime) -> tuple[tuple[Event, ...], Mapping[str, Any]]:
    """What is told on the way from the job's state to ``target``, and what is to be remembered of it."""
    begin, end = PATH.index(State(job.state)), PATH.index(target)
    passed = PATH[begin + 1 : end + 1]
    told = tuple(event for state in passed for event in _told(state, now))
    observed = {"started": now.isoformat(), **job.observed} if State.DOWNLOADING in passed else job.observed
    return told, observed


def _told(state: State, now: datetime) -> tuple[Event, ...]:
    return tuple(Event(now, status, message) for status, message in TOLD[state])


def _state_of(phase: Phase) -> State:
    return {
        Phase.STAGING: State.DOWNLOADING,
        Phase.RUNNING: State.TRAINING,
        Phase.PACKING: State.UPLOADING,
    }[phase]


def _to_upload(job: Resource, seen: Observation) -> bool:
    packed = seen.model_archive or seen.output_archive
    return bool(packed) and not (job.observed.get("uploaded") or job.observed.get("upload_failure"))


def _deadline(job: Resource, now: datetime) -> tuple[datetime, str]:
    """When the time of the request runs out, and which: MaxRuntimeInSeconds counts from TrainingStartTime as AWS bills
    it, MaxWaitTimeInSeconds of a spot job from its creation, waiting and running together."""
    limits = job.request.get("StoppingCondition", {})
    started = job.observed.get("started")
    begin = datetime.fromisoformat(started) if started else now
    ends = [(begin + timedelta(seconds=limits.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)), "MaxRuntimeExceeded")]
    if job.request.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" in limits:
        ends.append((job.created + timedelta(seconds=limits["MaxWaitTimeInSeconds"]), "MaxWaitTimeExceeded"))
    return min(ends)
