"""Finds the REST operation of a request: by method, path template, literal query parts and required parameters.

Tables are built once per service; a match compares strings and runs no regular expression.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, unquote

from botocore.model import OperationModel

from darkroom.wire.models import wire_name
from darkroom.wire.scalars import Malformed

Labels = Mapping[str, str]
MAX_REMEMBERED = 1000


@dataclass(frozen=True)
class Template:
    """A request URI's path: literal parts, and labels as "{Name}"; the last label may take the rest of the path."""

    parts: tuple[str, ...]
    greedy: bool

    @classmethod
    def of(cls, path: str) -> "Template":
        parts = tuple(p.replace("+}", "}") for p in path.strip("/").split("/"))
        return cls(() if parts == ("",) else parts, path.endswith("+}"))

    @property
    def labels(self) -> int:
        return sum(part.startswith("{") for part in self.parts)

    def match(self, path: str) -> Labels | None:
        """Decoded labels. Raises Malformed for a label that is not UTF-8."""
        values = path[1:].split("/", len(self.parts) - 1) if self.greedy else path[1:].removesuffix("/").split("/")
        if values == [""]:
            values = []
        if len(values) != len(self.parts):
            return None
        labels = {}
        for part, value in zip(self.parts, values, strict=True):
            if part[0] == "{":
                if not value:
                    return None
                labels[part[1:-1]] = _decoded(value) if "%" in value else value
            elif part != value:
                return None
        return labels


def _decoded(value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise Malformed(f"{value[:100]!r} in the path is not UTF-8") from None


@dataclass(frozen=True)
class Route:
    """One operation, and what a request must have beyond method and path to be it."""

    operation: OperationModel
    literals: Mapping[str, str]  # query parts of the template; an empty value means any
    queries: tuple[str, ...]  # required query parameters
    headers: tuple[str, ...]  # required headers, lower-case

    @classmethod
    def of(cls, operation: OperationModel) -> "Route":
        query = operation.http["requestUri"].partition("?")[2]
        located: dict[str, list[str]] = {"querystring": [], "header": []}
        shape = operation.input_shape
        for member in shape.required_members if shape is not None else ():
            s = shape.members[member]
            if (location := s.serialization.get("location")) in located:
                located[location].append(wire_name(s, member))
        headers = tuple(name.lower() for name in located["header"])
        return cls(operation, dict(parse_qsl(query, keep_blank_values=True)), tuple(located["querystring"]), headers)

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two routes that fit, the higher one is meant: not deprecated, then the more demanding."""
        return not self.operation.deprecated, len(self.literals) + len(self.queries) + len(self.headers)

    @cached_property
    def undemanding(self) -> bool:
        return not (self.literals or self.queries or self.headers)

    def fits(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        return self.undemanding or (
            all(name in query and value in ("", query[name]) for name, value in self.literals.items())
            and all(name in query for name in self.queries)
            and all(name in headers for name in self.headers)
        )


class Router:
    """All REST operations of one service; of two that nothing tells apart, the one given first is found."""

    def __init__(self, operations: list[OperationModel]) -> None:
        table: dict[str, dict[Template, list[Route]]] = {}
        for operation in operations:
            template = Template.of(operation.http["requestUri"].partition("?")[0])
            table.setdefault(operation.http["method"], {}).setdefault(template, []).append(Route.of(operation))
        # Fewer labels first: a literal path is meant before a bucket of that name.
        self._table = {
            method: [
                (template, sorted(routes, key=lambda r: r.rank, reverse=True))
                for template, routes in sorted(templates.items(), key=lambda item: item[0].labels)
            ]
            for method, templates in table.items()
        }
        # Where nothing but the path counts, an endpoint that was found is found again at once.
        self._by_path_only = all(r.undemanding for t in table.values() for routes in t.values() for r in routes)
        self._found: dict[tuple[str, str], tuple[OperationModel, Labels]] = {}

    def find(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[OperationModel, Labels] | None:
        """The operation and its path labels. Raises Malformed for a path that is not UTF-8."""
        if (known := self._found.get((method, path))) is not None:
            return known
        for template, routes in self._table.get(method, ()):
            if (labels := template.match(path)) is None:
                continue
            for route in routes:
                if route.fits(query, headers):
                    found = route.operation, labels
                    if self._by_path_only and len(self._found) < MAX_REMEMBERED:
                        self._found[method, path] = found
                    return found
        return None
