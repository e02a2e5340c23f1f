"""The platform's verbs for services: create, get, page, stop, update, delete resources, and their tags.

Every verb writes durably before it returns, and wakes the reconciler. Raises the errors of ``darkroom.errors`` only.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from darkroom.contract import images
from darkroom.contract.images import Image
from darkroom.control import acceptance, endpoints, job_metrics, lineage, scheduler, views
from darkroom.control.compilation_jobs import CompilationJobs
from darkroom.control.endpoints import Endpoints
from darkroom.control.listing import Page, Query
from darkroom.control.reconciler import Keeper, Reconciler
from darkroom.control.resources import Draft, Kind, Resource
from darkroom.control.routes import Routes
from darkroom.control.states import compilation, training
from darkroom.control.states import endpoint as endpoint_states
from darkroom.control.states.decision import Decision
from darkroom.control.states.fleet import to_json
from darkroom.control.store.queries import Store
from darkroom.control.training_jobs import TrainingJobs
from darkroom.errors import Invalid, NotFound
from darkroom.executors.base import Executor
from darkroom.objects.base import ObjectStore
from darkroom.settings import Settings
from darkroom.telemetry.logs import LogStore
from darkroom.telemetry.metrics import MetricStore

LEAVING_S = endpoint_states.STOP_GRACE_S + 10  # the longest that a worker may take to end
LIVES = {Kind.TRAINING_JOB: training, Kind.COMPILATION_JOB: compilation}  # what shares the machine's capacity
READY = "ready"  # state and status of what has no life of its own


class Control:
    """``image_of`` says what an image URI stands for; give another table to offer further images."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        objects: ObjectStore,
        logs: LogStore,
        metrics: MetricStore,
        routes: Routes,
        settings: Settings,
        now: Callable[[], datetime],
        image_of: Callable[[str], Image] = images.image_of,
    ) -> None:
        self._store, self._executor, self._objects, self._settings = store, executor, objects, settings
        self._now, self._image_of = now, image_of
        keepers: dict[Kind, Keeper] = {
            Kind.TRAINING_JOB: TrainingJobs(executor, objects, logs, metrics, settings, image_of, now),
            Kind.COMPILATION_JOB: CompilationJobs(executor, objects, logs, settings),
            Kind.ENDPOINT: Endpoints(executor, logs, routes, settings, image_of),
        }
        self._reconciler = Reconciler(store, keepers, self._admit, now)

    def start(self) -> None:
        """Take up everything unsettled, and go on from there."""
        self._executor.watch(self._reconciler.task_changed)
        self._reconciler.start()

    def close(self) -> None:
        """Stop reconciling; tasks run on and are found again."""
        self._reconciler.close()
        self._store.close()

    # ---- create ----

    def create_training_job(self, request: Mapping[str, Any], tags: Mapping[str, str], region: str) -> Resource:
        """Raises Invalid, and Conflict where the name is taken."""
        acceptance.check_members(request)
        image = self._training_image(request)
        acceptance.check_training(request, image, self._objects, region, self._settings.strict)
        state = training.State.PENDING
        return self._create(
            Kind.TRAINING_JOB,
            request["TrainingJobName"],
            request,
            tags,
            region,
            state=state,
            status=training.STATUS[state],
            events=training.accepted(self._now()),
            active=True,
        )

    def create_compilation_job(self, request: Mapping[str, Any], tags: Mapping[str, str], region: str) -> Resource:
        """Raises Invalid, and Conflict where the name is taken."""
        acceptance.check_compilation(request, self._objects)
        origin = lineage.origin_of(request["InputConfig"]["S3Uri"], self._store.find)
        state = compilation.State.PENDING
        return self._create(
            Kind.COMPILATION_JOB,
            request["CompilationJobName"],
            request,
            tags,
            region,
            state=state,
            status=compilation.STATUS[state],
            desired={"origin": origin.to_json()},
            events=compilation.accepted(self._now()),
            active=True,
        )

    def create_model(self, request: Mapping[str, Any], tags: Mapping[str, str], region: str) -> Resource:
        (container,) = acceptance.containers(request)
        acceptance.check_container(container, self._image_of(container["Image"]), self._objects)
        return self._create(Kind.MODEL, request["ModelName"], request, tags, region)

    def create_endpoint_config(self, request: Mapping[str, Any], tags: Mapping[str, str], region: str) -> Resource:
        """Raises Invalid, NotFound("model") and Conflict."""
        acceptance.check_endpoint_config(request)
        for variant in request["ProductionVariants"]:
            self._store.find(Kind.MODEL, variant["ModelName"])
        return self._create(Kind.ENDPOINT_CONFIG, request["EndpointConfigName"], request, tags, region)

    def create_endpoint(self, request: Mapping[str, Any], tags: Mapping[str, str], region: str) -> Resource:
        """Raises NotFound("endpoint-config" | "model") and Conflict.

        One of this name that is just being deleted is waited for: notebooks delete and deploy again in one go.
        """
        if not self._settings.strict:
            self._reconciler.wait_for(lambda: not self._is_leaving(request["EndpointName"]), LEAVING_S)
        fleet = endpoints.resolved(self._store, request["EndpointConfigName"], 1)
        state = endpoint_states.State.CREATING
        return self._create(
            Kind.ENDPOINT,
            request["EndpointName"],
            request,
            tags,
            region,
            state=state,
            status=endpoint_states.STATUS[state],
            desired={"fleet": to_json(fleet)},
            events=endpoint_states.accepted(self._now()),
            active=True,
        )

    def _is_leaving(self, name: str) -> bool:
        try:
            return self._store.find(Kind.ENDPOINT, name).state == endpoint_states.State.DELETING
        except NotFound:
            return False

    def _create(
        self,
        kind: Kind,
        name: str,
        request: Mapping[str, Any],
        tags: Mapping[str, str],
        region: str,
        **draft: Any,
    ) -> Resource:
        values = {"state": READY, "status": READY} | draft
        kept = {member: value for member, value in request.items() if member != "Tags"}
        created = self._store.create(
            Draft(kind, name, self.arn(kind, name, region), kept, tags=tags, **values), self._now()
        )
        if created.next_check_at is not None:
            self._reconciler.wake(created.id)
        return created

    # ---- read ----

    def arn(self, kind: Kind, name: str, region: str) -> str:
        return f"arn:aws:sagemaker:{region}:{self._settings.account}:{kind}/{name}"

    def training_job(self, name: str) -> views.TrainingJob:
        """Raises NotFound("training-job")."""
        return self._training_view(self._store.find(Kind.TRAINING_JOB, name))

    def compilation_job(self, name: str) -> views.CompilationJob:
        """Raises NotFound("compilation-job")."""
        return views.compilation_job(self._store.find(Kind.COMPILATION_JOB, name))

    def endpoint(self, name: str) -> views.Endpoint:
        """Raises NotFound("endpoint")."""
        return views.endpoint(self._store.find(Kind.ENDPOINT, name))

    def snapshot(self, kind: Kind, name: str) -> views.Snapshot:
        """Any resource, without what is special to its kind. Raises NotFound(kind)."""
        return views.snapshot(self._store.find(kind, name))

    def training_jobs(self, query: Query) -> Page[views.TrainingJob]:
        page = self._store.page(Kind.TRAINING_JOB, query)
        return Page([self._training_view(job) for job in page.items], page.next)

    def compilation_jobs(self, query: Query) -> Page[views.CompilationJob]:
        page = self._store.page(Kind.COMPILATION_JOB, query)
        return Page([views.compilation_job(job) for job in page.items], page.next)

    def page(self, kind: Kind, query: Query) -> Page[views.Snapshot]:
        page = self._store.page(kind, query)
        return Page([views.snapshot(item) for item in page.items], page.next)

    def _training_view(self, job: Resource) -> views.TrainingJob:
        try:
            image = self._training_image(job.request)
        except Invalid:  # offered once, and described for ever
            image = Image("", "")
        return views.training_job(job, self._store.events(job.id), job_metrics.definitions(job.request, image))

    # ---- change ----

    def stop_training_job(self, name: str) -> None:
        """Raises NotFound, and Conflict for a job that has ended."""
        self._change(Kind.TRAINING_JOB, name, lambda job: training.stop(job, self._now()))

    def stop_compilation_job(self, name: str) -> None:
        """Raises NotFound, and Conflict for a job that has ended."""
        self._change(Kind.COMPILATION_JOB, name, lambda job: compilation.stop(job, self._now()))

    def update_training_job(self, name: str, changes: Mapping[str, Any]) -> Resource:
        """Members of the request that may change while it runs. Raises NotFound, and Conflict for an ended job."""
        return self._change(Kind.TRAINING_JOB, name, lambda job: training.update(job, changes))

    def update_endpoint(self, name: str, config: str, retained: Collection[str] = ()) -> Resource:
        """Blue/green to another configuration; "weight" and "count" are ``retained`` for variants of the same name.

        Raises NotFound and Conflict.
        """

        def decide(endpoint: Resource) -> Decision:
            old = endpoint_states.fleet_of(endpoint)
            fleet = endpoints.resolved(self._store, config, old.generation + 1)
            return endpoint_states.update(endpoint, fleet.retaining(old, retained), self._now())

        return self._change(Kind.ENDPOINT, name, decide)

    def update_capacities(self, name: str, changes: Sequence[Mapping[str, Any]]) -> Resource:
        """DesiredWeightsAndCapacities. Raises NotFound, Invalid and Conflict."""

        def decide(endpoint: Resource) -> Decision:
            fleet = endpoint_states.fleet_of(endpoint).with_capacities(changes)
            return endpoint_states.update(endpoint, fleet, self._now())

        return self._change(Kind.ENDPOINT, name, decide)

    def delete_endpoint(self, name: str) -> None:
        """Raises NotFound."""
        self._change(Kind.ENDPOINT, name, lambda endpoint: endpoint_states.delete(endpoint, self._now()))

    def delete_training_job(self, name: str) -> None:
        """A job that has ended, as soon as its task is cleaned up. Raises NotFound, and Conflict for one that has not.

        Its artifacts and its log stay; its name is free again.
        """
        training.refuse_running(self._store.find(Kind.TRAINING_JOB, name))
        self._delete_ended(Kind.TRAINING_JOB, name)

    def delete_compilation_job(self, name: str) -> None:
        """A job that has ended; its artifact and its log stay. Raises NotFound, and Conflict for one that has not."""
        compilation.refuse_running(self._store.find(Kind.COMPILATION_JOB, name))
        self._delete_ended(Kind.COMPILATION_JOB, name)

    def _delete_ended(self, kind: Kind, name: str) -> None:
        self._reconciler.wait_for(lambda: self._store.find(kind, name).next_check_at is None, LEAVING_S)
        self.delete(kind, name)

    def delete(self, kind: Kind, name: str) -> None:
        """A model or an endpoint configuration. Raises NotFound."""
        self._store.remove(self._store.find(kind, name), self._now())

    def _change(self, kind: Kind, name: str, decide: Callable[[Resource], Decision]) -> Resource:
        """Decide and write; decide anew where the reconciler was faster."""
        while True:
            resource = self._store.find(kind, name)
            decision = decide(resource)
            if decision.change is None:
                return resource
            written = self._store.apply(resource, decision.change, self._now())
            if written is not None:
                self._reconciler.wake(written.id)
                return written

    # ---- tags ----

    def tags(self, arn: str) -> Mapping[str, str]:
        """Raises NotFound."""
        return self._store.tags(self._store.find_arn(arn).id)

    def tag(self, arn: str, values: Mapping[str, str]) -> Mapping[str, str]:
        """All tags after the change. Raises NotFound."""
        resource = self._store.find_arn(arn)
        self._store.tag(resource.id, values)
        return self._store.tags(resource.id)

    def untag(self, arn: str, keys: Sequence[str]) -> None:
        """Raises NotFound."""
        self._store.untag(self._store.find_arn(arn).id, keys)

    # ---- within ----

    def _admit(self) -> list[int]:
        """Let waiting jobs in while there is room; tell the others, once, that they wait. Ids of those let in."""
        found = (self._store.in_states(kind, [life.State.PENDING]) for kind, life in LIVES.items())
        waiting = sorted((job for jobs in found for job in jobs), key=lambda job: job.id)
        if not waiting:
            return []
        held = (self._store.in_states(kind, life.HOLDS_CAPACITY) for kind, life in LIVES.items())
        running = sum(training.hosts_of(job) for jobs in held for job in jobs)
        limit = self._settings.max_training_jobs
        let_in = {job.id for job in scheduler.admitted(waiting, running, limit, training.hosts_of)}
        changed = []
        for job in waiting:
            life = LIVES[job.kind]
            decision = life.admit(job, self._now()) if job.id in let_in else life.hold(job, self._now())
            if decision.change and self._store.apply(job, decision.change, self._now()) and job.id in let_in:
                changed.append(job.id)
        return changed

    def _training_image(self, request: Mapping[str, Any]) -> Image:
        return self._image_of(request["AlgorithmSpecification"].get("TrainingImage", ""))
