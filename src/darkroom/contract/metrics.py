"""Metrics are read from log lines: definitions, and the one function that applies them."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from re import _constants, _parser  # type: ignore[attr-defined]  # the one way to see what a pattern is made of
from typing import Any

LINE_CHARS = 2000  # of a message are searched: metrics stand in short lines, and patterns may take the square of it
REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


@dataclass(frozen=True)
class MetricDefinition:
    """``regex`` has one group: the value. Same pair as AlgorithmSpecification.MetricDefinitions."""

    name: str
    regex: str


# The built-in algorithm's own definitions; the service adds them to what Describe answers.
IMAGE_CLASSIFICATION = (
    MetricDefinition("train:accuracy", r"Epoch\S* Train-accuracy=(\S*)"),
    MetricDefinition("train:accuracy:epoch", r"Epoch\S* Train-accuracy=(\S*)"),
    MetricDefinition("validation:accuracy", r"Epoch\S* Validation-accuracy=(\S*)"),
    MetricDefinition("validation:accuracy:epoch", r"Epoch\S* Validation-accuracy=(\S*)"),
)


def read(definitions: Sequence[MetricDefinition], message: str) -> Iterator[tuple[str, float]]:
    """Every (name, value) that the message holds; text that is no finite number is passed over."""
    message = message[:LINE_CHARS]
    for definition in definitions:
        found = re.search(definition.regex, message)
        if found is None or not found.groups():
            continue
        try:
            value = float(found[1])
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            yield definition.name, value


def may_never_end(regex: str) -> bool:
    """Whether the pattern repeats, without limit, what itself repeats without limit: "(a+)+", "(.*,)*".

    On an unlucky line it would hold its thread, and Python's lock with it, for years. Raises re.error.
    """
    return _nests(_parser.parse(regex), False)


def _nests(node: Any, inside: bool) -> bool:
    if isinstance(node, _parser.SubPattern | list):
        return any(_nests(item, inside) for item in node)
    if not isinstance(node, tuple):
        return False
    unlimited = node[0] in REPEATS and node[1][1] == _constants.MAXREPEAT
    return (unlimited and inside) or any(_nests(item, inside or unlimited) for item in node[1:])
