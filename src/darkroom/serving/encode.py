"""Probabilities → the body that the client's Accept header asks for. One table of formats; pure functions.

float32 is printed as the double it equals, as the real container does: 0.8216196894645691. One row answers a flat
array; several answer one array, or one line, each.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from darkroom.serving.content import NUMPY_TYPES, Refused

BATCH = "SAGEMAKER_BATCH"  # "true" in the workers of a batch transform job
DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"

Write = Callable[[np.ndarray, Sequence[str]], bytes]
Row = Callable[[np.ndarray, Sequence[str]], Any]


@dataclass(frozen=True)
class Format:
    """One kind of answer. ``write`` takes probabilities (N, classes), N ≥ 1, and the class names."""

    name: str  # as Accept asks for it
    media_type: str  # as Content-Type names it
    write: Write


def _plain(row: np.ndarray, labels: Sequence[str]) -> Any:
    return row.tolist()


def _prediction(row: np.ndarray, labels: Sequence[str]) -> Any:
    return {"prediction": row.tolist()}


def _verbose(row: np.ndarray, labels: Sequence[str]) -> Any:
    """The shape of SageMaker's newer image-classification models."""
    return {"probabilities": row.tolist(), "labels": labels, "predicted_label": labels[int(row.argmax())]}


def _document(of: Row) -> Write:
    """One JSON value: of the row, or a list of those of several rows."""

    def write(probabilities: np.ndarray, labels: Sequence[str]) -> bytes:
        values = [of(row, labels) for row in probabilities]
        return orjson.dumps(values[0] if len(values) == 1 else values)

    return write


def _lines(of: Row) -> Write:
    return lambda probabilities, labels: b"".join(orjson.dumps(of(row, labels)) + b"\n" for row in probabilities)


def _npy(probabilities: np.ndarray, labels: Sequence[str]) -> bytes:
    """float32 (N, classes), whatever N: who asks for arrays expects the batch to be there."""
    file = io.BytesIO()
    np.save(file, probabilities, allow_pickle=False)
    return file.getvalue()


JSON = Format("application/json", "application/json", _document(_plain))
JSON_LINES = Format("application/jsonlines", "application/jsonlines", _lines(_prediction))
FORMATS = {
    f.name: f
    for f in (
        JSON,
        JSON_LINES,
        Format("application/json;verbose", "application/json", _document(_verbose)),
        Format("application/jsonlines;verbose", "application/jsonlines", _lines(_verbose)),
        *(Format(name, name, _npy) for name in NUMPY_TYPES),
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
