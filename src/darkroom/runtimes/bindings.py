"""OpenVINO's own bindings without the Python around them, which a worker never uses and would pay for at every start.

The package imports its opsets, converters and telemetry: 55 of 75 ms, and 12 MiB (measured with 2026.4). What is left
out here is left out of the process: whoever imports ``openvino`` first, as the compiler may, gets all of it.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any

PACKAGE, BINDINGS = "openvino", "openvino._pyopenvino"


def bindings() -> Any:
    """The module of Core, Tensor, PartialShape and get_version. Raises ImportError where OpenVINO is not installed."""
    if PACKAGE in sys.modules:
        return importlib.import_module(BINDINGS)
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{PACKAGE} is not installed")
    package = types.ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[PACKAGE] = package
    try:
        return importlib.import_module(BINDINGS)
    finally:
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            if name != BINDINGS and not name.startswith(f"{BINDINGS}."):
                del sys.modules[name]  # so that a later ``import openvino`` gets the whole package
