"""What the reconciler does for compilation jobs: look at the task, carry out what was decided."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from darkroom.control import compilation_plans as plans
from darkroom.control import reports
from darkroom.control.locations import bucket_and_key
from darkroom.control.resources import Resource
from darkroom.control.states import compilation
from darkroom.control.states.decision import Action, Decision, Facts, Forget, Start, Stop, Upload
from darkroom.control.training_jobs import tail
from darkroom.errors import DarkroomError, Invalid, NotFound
from darkroom.executors.base import Executor, Phase
from darkroom.objects.base import ObjectStore
from darkroom.settings import Settings
from darkroom.telemetry.logs import LogStore


class CompilationJobs:
    """One method a verb of the reconciler."""

    def __init__(self, executor: Executor, objects: ObjectStore, logs: LogStore, settings: Settings) -> None:
        self._executor, self._objects, self._logs, self._settings = executor, objects, logs, settings

    def look(self, job: Resource) -> Facts:
        task = compilation.task_id(job)
        seen = self._executor.observe(task)
        failed = seen.phase is Phase.LOST or (seen.phase is Phase.ENDED and seen.exit_code != 0)
        ended = job.state in compilation.ENDED
        return Facts({task: seen}, {task: tail(self._logs, plans.log_of(job))} if failed and not ended else {})

    def decide(self, job: Resource, facts: Facts, now: datetime) -> Decision:
        return compilation.decide(job, facts, now, self._settings)

    def act(self, job: Resource, action: Action) -> Mapping[str, Any]:
        """Carry out one action; answers what is to be remembered of it. Doing it twice does it once."""
        match action:
            case Start():
                return self._start(job)
            case Stop(task, grace_s):
                self._executor.stop(task, grace_s)
            case Upload(task):
                return self._upload(job, self._executor.observe(task).model_archive)
            case Forget(task):
                self._executor.forget(task)
            case _:
                raise AssertionError(f"a compilation job has no use for {action}")
        return {}

    def _start(self, job: Resource) -> Mapping[str, Any]:
        try:
            channels = {name: url for name, url in plans.wanted_channels(job).items() if self._holds(url)}
            self._executor.start(plans.task(job, channels, self._settings.region))
        except Invalid as error:
            return {"start_failure": str(error)}
        return {}

    def _holds(self, url: str) -> bool:
        """Whether something lies below a prefix: data of a training job may be gone, and is not needed."""
        bucket, prefix = bucket_and_key(url)
        try:
            return bool(self._objects.list(bucket, prefix, limit=1).objects)
        except NotFound:
            return False

    def _upload(self, job: Resource, archive: Path | None) -> Mapping[str, Any]:
        """Reports first: who sees the artifact sees all. A store that refuses them fails the job."""
        if archive is None:
            return {"upload_failure": "the packed artifact is gone"}
        try:
            for name, text in reports.found_in(archive, plans.REPORTS).items():
                reports.put(self._objects, *plans.artifact_key(job.request, name), text)
            bucket, key = plans.artifact_key(job.request)
            self._objects.put_file(bucket, key, archive, {"ContentType": "application/x-tar"})
        except DarkroomError as error:
            return {"upload_failure": str(error)}
        with open(archive, "rb") as file:
            return {"uploaded": True, "digest": hashlib.file_digest(file, "sha256").hexdigest()}
