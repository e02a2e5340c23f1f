"""Probabilities → the body that the client's Accept header asks for. One table of formats; pure functions.

float32 is printed as the double it equals, as the real container does: 0.8216196894645691.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.serving.content import Refused

BATCH = "SAGEMAKER_BATCH"  # "true" in the workers of a batch transform job
DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"


@dataclass(frozen=True)
class Format:
    """One kind of answer. ``write`` takes probabilities (classes,) and the class names."""

    name: str  # as Accept asks for it
    media_type: str  # as Content-Type names it
    write: Callable[[np.ndarray, Sequence[str]], str]


def _array(probabilities: np.ndarray, labels: Sequence[str]) -> str:
    return json.dumps(probabilities.tolist())


def _prediction(probabilities: np.ndarray, labels: Sequence[str]) -> str:
    return json.dumps({"prediction": probabilities.tolist()})


def _verbose(probabilities: np.ndarray, labels: Sequence[str]) -> str:
    """The shape of SageMaker's newer image-classification models."""
    best = labels[int(probabilities.argmax())]
    return json.dumps({"probabilities": probabilities.tolist(), "labels": list(labels), "predicted_label": best})


def _line(write: Callable[[np.ndarray, Sequence[str]], str]) -> Callable[[np.ndarray, Sequence[str]], str]:
    return lambda probabilities, labels: write(probabilities, labels) + "\n"


JSON = Format("application/json", "application/json", _array)
JSON_LINES = Format("application/jsonlines", "application/jsonlines", _line(_prediction))
FORMATS = {
    f.name: f
    for f in (
        JSON,
        JSON_LINES,
        Format("application/json;verbose", "application/json", _verbose),
        Format("application/jsonlines;verbose", "application/jsonlines", _line(_verbose)),
    )
}


def default_format(environ: Mapping[str, str]) -> Format:
    """What is answered to those who ask for nothing in particular: an array, and one line an image in batch jobs.

    Raises ValueError for a default that is not offered.
    """
    wanted = environ.get(DEFAULT_ACCEPT)
    if wanted is not None:
        if wanted not in FORMATS:
            raise ValueError(f"{DEFAULT_ACCEPT} is {wanted!r}; offered are: {', '.join(FORMATS)}")
        return FORMATS[wanted]
    return JSON_LINES if environ.get(BATCH, "").lower() == "true" else JSON


def negotiate(accept: str | None, default: Format) -> Format:
    """The offered format that ``accept`` prefers. Raises Refused(406), which lists what is offered."""
    ranges = [r for r in (accept or "").split(",") if r.strip()]
    if not ranges:
        return default
    for _, _, name in sorted((-_quality(r), i, _name(r)) for i, r in enumerate(ranges) if _quality(r) > 0):
        if name in ("*/*", "application/*"):
            return default
        if name in FORMATS:
            return FORMATS[name]
    raise Refused(406, f"Accept {accept!r} is not offered. Offered are: {', '.join(FORMATS)}")


def _name(media_range: str) -> str:
    """``application/json`` or ``application/json;verbose``, whatever other parameters and spaces there are."""
    kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
    return f"{kind};verbose" if "verbose" in parameters else kind


def _quality(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
