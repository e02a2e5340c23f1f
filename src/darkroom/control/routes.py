"""Where an invocation goes: endpoint → variants with weights → sockets of ready workers.

The reconciler publishes, the front door reads; a route is replaced whole, so readers need no lock.
"""

from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import Invalid, NotFound, Unavailable


@dataclass(frozen=True)
class Variant:
    name: str
    weight: float
    sockets: tuple[Path, ...]  # of ready workers; empty while all of them are being replaced


@dataclass(frozen=True)
class Route:
    endpoint: str
    variants: tuple[Variant, ...]


class Routes:
    """The routes of every endpoint that has ever been in service and still exists."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    def publish(self, route: Route) -> None:
        self._routes[route.endpoint] = route

    def withdraw(self, endpoint: str) -> None:
        self._routes.pop(endpoint, None)

    def find(self, endpoint: str) -> Route:
        """Raises NotFound("endpoint")."""
        try:
            return self._routes[endpoint]
        except KeyError:
            raise NotFound("endpoint", endpoint) from None


def choose(route: Route, draw: float, target: str | None = None) -> Variant:
    """The variant for one request: the one named, or by weight; ``draw`` is uniform in [0, 1).

    Raises Invalid for an unknown target and Unavailable where every weight is zero.
    """
    if target is not None:
        for variant in route.variants:
            if variant.name == target:
                return variant
        known = ", ".join(v.name for v in route.variants)
        raise Invalid(f"Variant {target} not found for Request; the endpoint has: {known}")
    total = sum(v.weight for v in route.variants)
    if total <= 0:
        raise Unavailable(f"every variant of endpoint {route.endpoint} has weight 0; set one above 0")
    place = draw * total
    for variant in route.variants:
        place -= variant.weight
        if place < 0:
            return variant
    return next(v for v in reversed(route.variants) if v.weight > 0)
