"""AWS's own service models, loaded when first needed: operations by name, wire names of members, error shapes.

The one door to botocore's data. Loading a model takes 5 to 90 ms and up to 10 MB, so nothing here runs at import.
"""

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

SCALARS = frozenset({"string", "integer", "long", "float", "double", "boolean", "timestamp", "blob", "character"})


class Model:
    """One service. ``name`` is botocore's: "sagemaker", "sagemaker-runtime", "s3", "logs", …"""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def service(self) -> ServiceModel:
        return ServiceModel(Loader().load_service_model(self.name, "service-2"), self.name)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.service.metadata  # type: ignore[no-any-return]

    @cached_property
    def names(self) -> dict[str, str]:
        """Operation names by their snake_case form: "create_model" → "CreateModel"."""
        return {xform_name(name): name for name in self.service.operation_names}

    @cached_property
    def operations(self) -> frozenset[str]:
        return frozenset(self.service.operation_names)

    def operation(self, name: str) -> OperationModel:
        """Raises KeyError for a name that is not in the model."""
        if name not in self.operations:
            raise KeyError(name)
        return self.service.operation_model(name)

    def error(self, code: str) -> tuple[str, str, int | None, bool]:
        """(shape name, wire code, HTTP status, the server's fault) of an error, found by either name."""
        return self._errors.get(code, (code, code, None, False))

    @cached_property
    def _errors(self) -> dict[str, tuple[str, str, int | None, bool]]:
        found: dict[str, tuple[str, str, int | None, bool]] = {}
        for shape in self.service.error_shapes:
            declared = shape.metadata.get("error", {})
            server = bool(shape.metadata.get("fault")) or not declared.get("senderFault", True)
            entry = shape.name, declared.get("code", shape.name), declared.get("httpStatusCode"), server
            found[shape.name] = entry
            found.setdefault(entry[1], entry)
        return found


@cache
def model(name: str) -> Model:
    return Model(name)


def wire_name(shape: Shape, member: str) -> str:
    return shape.serialization.get("name", member)  # type: ignore[no-any-return]


def element_name(shape: Shape, member: str) -> str:
    """The tag or key of a member in XML and Query: a flattened list is written under its items' name."""
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        own: str | None = shape.member.serialization.get("name")
        return own or wire_name(shape, member)
    return wire_name(shape, member)


@cache
def body_members(shape: Shape) -> dict[str, tuple[str, Shape]]:
    """(member name, shape) by wire name, of the members that travel in the body and not in headers, path or query."""
    return {wire_name(s, m): (m, s) for m, s in shape.members.items() if "location" not in s.serialization}
