"""Which runtimes there are, and which one serves an artifact here. The table is the place where another one joins.

An engine is imported when it is asked for: a worker needs one of them installed, and pays for one.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from darkroom.runtimes import native
from darkroom.runtimes.artifact import Compiled, UnusableArtifact, read
from darkroom.runtimes.base import Model, Runtime, Settings, Unsupported


@dataclass(frozen=True)
class Offer:
    """A runtime that can be had. ``there``: whether it can be used on this machine; ``remedy``: what helps if not."""

    module: str
    kind: str
    there: Callable[[], bool]
    remedy: str


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


RUNTIMES = {  # in order of preference
    "native": Offer("darkroom.runtimes.native.runtime", "Native", native.able, native.NEEDS),
    "openvino": Offer("darkroom.runtimes.openvino", "OpenVino", partial(_has, "openvino"), "pip install openvino"),
    "onnxruntime": Offer(
        "darkroom.runtimes.onnxruntime", "OnnxRuntime", partial(_has, "onnxruntime"), "pip install onnxruntime"
    ),
}


def installed() -> list[str]:
    """Names of the runtimes that can be used here."""
    return [name for name, offer in RUNTIMES.items() if offer.there()]


def runtime(name: str) -> Runtime:
    """Raises UnusableArtifact for one that is unknown or not installed."""
    if name not in RUNTIMES:
        raise UnusableArtifact(f"there is no runtime {name!r}; those that are: {', '.join(RUNTIMES)}")
    offer = RUNTIMES[name]
    if not offer.there():
        raise UnusableArtifact(f"the runtime {name} is not installed here; {offer.remedy}")
    chosen: Runtime = getattr(importlib.import_module(offer.module), offer.kind)()
    return chosen


def load(folder: Path, settings: Settings, preference: Sequence[str] = tuple(RUNTIMES)) -> tuple[Runtime, Model]:
    """The artifact in the first preferred runtime that is there and does it. Raises UnusableArtifact."""
    return load_verified(read(folder), settings, preference)


def load_verified(
    artifact: Compiled, settings: Settings, preference: Sequence[str] = tuple(RUNTIMES)
) -> tuple[Runtime, Model]:
    """The same of an artifact that was read already. Raises UnusableArtifact."""
    there = installed()
    refused: Unsupported | None = None
    for name in (name for name in preference if name in there):
        chosen = runtime(name)
        try:
            return chosen, chosen.load(artifact, settings)
        except Unsupported as reason:
            refused = reason
    if refused is None:
        raise UnusableArtifact(f"a compiled model needs one of {', '.join(RUNTIMES)}; pip install openvino")
    if "openvino" not in there:
        raise UnusableArtifact(f"{refused}; OpenVINO runs any compiled model: pip install openvino") from refused
    raise refused
