"""Which runtimes there are, and which one serves an artifact here. The table is the place where another one joins.

An engine is imported when it is asked for: a worker needs one of them installed, and pays for one.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from darkroom.runtimes.artifact import Compiled, UnusableArtifact, read
from darkroom.runtimes.base import Model, Runtime, Settings

# name: (module, class, what must be installed), in order of preference
RUNTIMES = {
    "openvino": ("darkroom.runtimes.openvino", "OpenVino", "openvino"),
    "onnxruntime": ("darkroom.runtimes.onnxruntime", "OnnxRuntime", "onnxruntime"),
}


def installed() -> list[str]:
    """Names of the runtimes whose engine is there."""
    return [name for name, (_, _, package) in RUNTIMES.items() if importlib.util.find_spec(package)]


def runtime(name: str) -> Runtime:
    """Raises UnusableArtifact for one that is unknown or not installed."""
    if name not in RUNTIMES:
        raise UnusableArtifact(f"there is no runtime {name!r}; those that are: {', '.join(RUNTIMES)}")
    module, kind, package = RUNTIMES[name]
    if importlib.util.find_spec(package) is None:
        raise UnusableArtifact(f"the runtime {name} is not installed here; pip install {package}")
    chosen: Runtime = getattr(importlib.import_module(module), kind)()
    return chosen


def load(folder: Path, settings: Settings, preference: Sequence[str] = tuple(RUNTIMES)) -> tuple[Runtime, Model]:
    """The artifact in the first preferred runtime that is installed. Raises UnusableArtifact."""
    return load_verified(read(folder), settings, preference)


def load_verified(
    artifact: Compiled, settings: Settings, preference: Sequence[str] = tuple(RUNTIMES)
) -> tuple[Runtime, Model]:
    """The same of an artifact that was read already. Raises UnusableArtifact."""
    available = [name for name in preference if name in installed()]
    if not available:
        raise UnusableArtifact(f"a compiled model needs one of {', '.join(RUNTIMES)}; pip install openvino")
    chosen = runtime(available[0])
    return chosen, chosen.load(artifact, settings)
