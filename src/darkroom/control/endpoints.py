"""What the reconciler does for endpoints: look at the workers, carry out what was decided, keep the routes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from darkroom.contract.images import Image
from darkroom.control import acceptance, plans
from darkroom.control.resources import Kind, Resource
from darkroom.control.routes import Routes
from darkroom.control.states import endpoint as states
from darkroom.control.states import workers as staff
from darkroom.control.states.decision import Action, Decision, Facts, Forget, Publish, Start, Stop, Withdraw
from darkroom.control.states.fleet import DEFAULT_HEALTH_TIMEOUT_S, Fleet, VariantPlan
from darkroom.control.store.queries import Store
from darkroom.control.training_jobs import tail
from darkroom.errors import Invalid
from darkroom.executors.base import Executor, Phase
from darkroom.settings import Settings
from darkroom.telemetry.logs import LogStore


class Endpoints:
    """One method a verb of the reconciler."""

    def __init__(
        self,
        executor: Executor,
        logs: LogStore,
        routes: Routes,
        settings: Settings,
        image_of: Callable[[str], Image],
    ) -> None:
        self._executor, self._logs, self._routes = executor, logs, routes
        self._settings, self._image_of = settings, image_of

    def look(self, endpoint: Resource) -> Facts:
        """Observe every worker; the last lines of those that are not ready are at hand in case that is a fault."""
        workers = staff.workers_of(endpoint)
        tasks = {task: self._executor.observe(task) for task in workers}
        unfit = [
            task
            for task, worker in workers.items()
            if not worker.retired
            and not worker.ready
            and not tasks[task].ready
            and tasks[task].phase is not Phase.STAGING
        ]
        tails = {t: tail(self._logs, plans.worker_log(endpoint.name, workers[t].variant, t)) for t in unfit}
        return Facts(tasks, tails)

    def decide(self, endpoint: Resource, facts: Facts, now: datetime) -> Decision:
        return states.decide(endpoint, facts, now)

    def act(self, endpoint: Resource, action: Action) -> Mapping[str, Any]:
        """Carry out one action. Doing it twice does it once."""
        match action:
            case Publish(route):
                self._routes.publish(route)
            case Withdraw(name):
                self._routes.withdraw(name)
            case Start(task):
                return self._start(endpoint, task)
            case Stop(task, grace_s):
                self._executor.stop(task, grace_s)
            case Forget(task):
                self._executor.forget(task)
            case _:
                raise AssertionError(f"an endpoint has no use for {action}")
        return {}

    def _start(self, endpoint: Resource, task: str) -> Mapping[str, Any]:
        """What can never start fails the deployment; other faults are tried again."""
        worker = staff.workers_of(endpoint)[task]
        fleets = (states.fleet_of(endpoint), states.serving_fleet(endpoint))
        fleet = next(f for f in fleets if f is not None and f.generation == worker.generation)
        variant = fleet.variant(worker.variant)
        assert variant is not None
        try:
            image, settings = self._image_of(variant.image), self._settings
            cache = str(settings.home / "cache")
            self._executor.start(plans.worker_task(endpoint, task, variant, image, settings.region, cache))
        except Invalid as error:
            return {"start_failure": str(error)}
        return {}


def resolved(store: Store, config_name: str, generation: int) -> Fleet:
    """The fleet of an endpoint configuration, as it and its models are now. Raises NotFound."""
    config = store.find(Kind.ENDPOINT_CONFIG, config_name)
    variants = (_plan(store, variant) for variant in config.request["ProductionVariants"])
    return Fleet(config_name, generation, tuple(variants))


def _plan(store: Store, variant: Mapping[str, Any]) -> VariantPlan:
    (container,) = acceptance.containers(store.find(Kind.MODEL, variant["ModelName"]).request)
    return VariantPlan(
        name=variant["VariantName"],
        model=variant["ModelName"],
        image=container["Image"],
        model_data=acceptance.model_data_url(container),
        weight=float(variant.get("InitialVariantWeight", 1.0)),
        count=int(variant.get("InitialInstanceCount", 1)),
        environment=dict(container.get("Environment", {})),
        health_timeout_s=float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds", DEFAULT_HEALTH_TIMEOUT_S)),
    )
