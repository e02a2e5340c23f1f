"""Metrics are read from log lines: definitions, and the one function that applies them."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


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
