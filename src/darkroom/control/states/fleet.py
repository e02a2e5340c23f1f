"""The workers an endpoint wants: variants of one endpoint configuration, with counts and weights.

A fleet is resolved once, when it is asked for, so that an endpoint lives on whatever happens to its configuration and
models. Kept in a resource as plain JSON; a new ``generation`` means new workers, another count or weight does not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from darkroom.errors import Invalid

DEFAULT_HEALTH_TIMEOUT_S = 240.0


@dataclass(frozen=True)
class VariantPlan:
    """One production variant: what to run, how often, and its share of the requests."""

    name: str
    model: str
    image: str
    model_data: str  # s3:// URL of a model.tar.gz, or ""
    weight: float
    count: int
    environment: Mapping[str, str] = field(default_factory=dict)
    health_timeout_s: float = DEFAULT_HEALTH_TIMEOUT_S


@dataclass(frozen=True)
class Fleet:
    config: str
    generation: int
    variants: tuple[VariantPlan, ...]

    def variant(self, name: str) -> VariantPlan | None:
        return next((v for v in self.variants if v.name == name), None)

    def with_capacities(self, changes: Sequence[Mapping[str, Any]]) -> "Fleet":
        """The fleet with DesiredWeightsAndCapacities applied. Raises Invalid for a variant it does not have."""
        variants = {v.name: v for v in self.variants}
        for change in changes:
            name = change["VariantName"]
            if name not in variants:
                known = ", ".join(variants)
                raise Invalid(f"Could not find variant {name!r}; the endpoint has: {known}")
            old = variants[name]
            variants[name] = replace(
                old,
                weight=float(change.get("DesiredWeight", old.weight)),
                count=int(change.get("DesiredInstanceCount", old.count)),
            )
        return replace(self, variants=tuple(variants.values()))

    def retaining(self, old: "Fleet", members: Collection[str]) -> "Fleet":
        """The fleet with those ``members`` ("weight", "count") that ``old`` has for variants of the same name."""
        kept = {plan.name: {member: getattr(plan, member) for member in members} for plan in old.variants}
        return replace(self, variants=tuple(replace(plan, **kept.get(plan.name, {})) for plan in self.variants))


def to_json(fleet: Fleet) -> dict[str, Any]:
    return asdict(fleet) | {"variants": [asdict(v) for v in fleet.variants]}


def from_json(value: Mapping[str, Any] | None) -> Fleet | None:
    if value is None:
        return None
    return Fleet(value["config"], value["generation"], tuple(VariantPlan(**v) for v in value["variants"]))
