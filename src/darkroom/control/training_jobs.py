"""What the reconciler does for training jobs: look at the task and its log, carry out what was decided."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from darkroom.contract.images import Image
from darkroom.control import job_metrics, plans, reports
from darkroom.control.locations import output_key
from darkroom.control.resources import Resource
from darkroom.control.states import training
from darkroom.control.states.decision import Action, Decision, Facts, Forget, Start, Stop, Upload
from darkroom.errors import DarkroomError, Invalid, NotFound
from darkroom.executors.base import Executor, LogTarget, Observation, Phase
from darkroom.objects.base import ObjectStore
from darkroom.settings import Settings
from darkroom.telemetry.logs import LogStore
from darkroom.telemetry.metrics import MetricStore

TAIL_EVENTS = 50
REPORTS = ("report.html",)  # of what a job leaves in output/data


class TrainingJobs:
    """One method a verb of the reconciler. ``image_of`` says what an image URI stands for."""

    def __init__(
        self,
        executor: Executor,
        objects: ObjectStore,
        logs: LogStore,
        metrics: MetricStore,
        settings: Settings,
        image_of: Callable[[str], Image],
        now: Callable[[], datetime],
    ) -> None:
        self._executor, self._objects, self._logs, self._metrics = executor, objects, logs, metrics
        self._settings, self._image_of, self._now = settings, image_of, now

    def look(self, job: Resource) -> Facts:
        """Observe the tasks; where the first runs or has just ended, read its metrics too."""
        attempts = range(training.attempt_of(job) + 1) if job.state in training.ENDED else [training.attempt_of(job)]
        tasks = [task for attempt in attempts for task in training.task_ids(job, attempt)]
        seen = {task: self._executor.observe(task) for task in tasks}
        if job.state in training.ENDED or job.state == training.State.PENDING:
            return Facts(seen)
        over = seen[tasks[0]].phase is Phase.ABSENT or "uploaded" in job.observed
        found = {} if over else self._read_metrics(job)
        tails = {
            task: tail(self._logs, plans.training_log(job, host))
            for host, task in enumerate(tasks, 1)
            if seen[task].phase is Phase.LOST or (seen[task].phase is Phase.ENDED and seen[task].exit_code != 0)
        }
        return Facts(seen, tails, found)

    def decide(self, job: Resource, facts: Facts, now: datetime) -> Decision:
        return training.decide(job, facts, now, self._settings)

    def act(self, job: Resource, action: Action) -> Mapping[str, Any]:
        """Carry out one action; answers what is to be remembered of it. Doing it twice does it once."""
        match action:
            case Start(task):
                return self._start(job, training.task_ids(job).index(task) + 1)
            case Stop(task, grace_s):
                self._executor.stop(task, grace_s)
            case Upload(task):
                return self._upload(job, self._executor.observe(task))
            case Forget(task):
                self._executor.forget(task)
            case _:
                raise AssertionError(f"a training job has no use for {action}")
        return {}

    def _start(self, job: Resource, host: int) -> Mapping[str, Any]:
        """What can never start (an image that is no longer offered, …) fails the job; other faults are tried again."""
        try:
            image = self._image_of(job.request["AlgorithmSpecification"]["TrainingImage"])
            settings = self._settings
            weights = str(settings.weights_folder)
            self._executor.start(plans.training_task(job, image, settings.region, settings.strict, weights, host))
        except Invalid as error:
            return {"start_failure": str(error)}
        return {}

    def _upload(self, job: Resource, seen: Observation) -> Mapping[str, Any]:
        """The artifacts are in the store before the job says so. A store that refuses them fails the job."""
        self._warn(job)
        files = {"model.tar.gz": seen.model_archive, "output.tar.gz": seen.output_archive}
        try:
            self._put_reports(job, seen.output_archive)
            for name, path in files.items():
                if path is not None:
                    self._put(job, name, path)
        except DarkroomError as error:
            return {"upload_failure": str(error)}
        return {"uploaded": True}

    def _warn(self, job: Resource) -> None:
        """A metric that matched nothing is said where its author will look. The task has ended: the log is ours now."""
        image = self._image_of(job.request["AlgorithmSpecification"]["TrainingImage"])
        asked = [d for d in job_metrics.definitions(job.request, image) if d not in image.metrics]
        silent = job_metrics.silent(asked, job.observed.get("metrics", {}))
        target = plans.training_log(job)
        now_ms = int(self._now().timestamp() * 1000)
        lines = [f"WARNING: metric {d.name!r} has no value: {d.regex!r} matched no line of this log" for d in silent]
        if lines:
            self._logs.append(target.group, target.stream, [(now_ms, line) for line in lines])

    def _put_reports(self, job: Resource, archive: Path | None) -> None:
        pages = {} if archive is None else reports.found_in(archive, REPORTS)
        for name, text in pages.items():
            reports.put(self._objects, *output_key(job.request, name), text)

    def _put(self, job: Resource, name: str, path: Path) -> None:
        bucket, key = output_key(job.request, name)
        self._objects.put_file(bucket, key, path, {"ContentType": "application/x-tar"})

    def _read_metrics(self, job: Resource) -> Mapping[str, Any]:
        """Metrics since the last look. At most once more after a crash: the place is written after the values."""
        image = self._image_of(job.request["AlgorithmSpecification"]["TrainingImage"])
        known = job_metrics.definitions(job.request, image)
        target = plans.training_log(job)
        start = token = job.observed.get("log_place", "f/0")
        last: Mapping[str, Any] = job.observed.get("metrics", {})
        while known:
            try:
                page = self._logs.events(target.group, target.stream, token=token)
            except NotFound:
                break
            if not page.events:
                break
            token = page.forward
            new = job_metrics.points(job, known, page.events)
            self._metrics.add(new)
            last = job_metrics.merged(last, new)
        return {} if token == start else {"log_place": token, "metrics": last}


def tail(logs: LogStore, target: LogTarget) -> tuple[str, ...]:
    """The last lines of a stream; none where nothing was written."""
    try:
        return tuple(e.message for e in logs.events(target.group, target.stream, limit=TAIL_EVENTS).events)
    except NotFound:
        return ()
