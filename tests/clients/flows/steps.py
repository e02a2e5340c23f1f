"""Runs the steps of a flow one by one and keeps what each answered, printed or raised, for the test to judge.

Imports nothing but Python's own library: it runs in the environment of an old client.
"""

import contextlib
import io
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_steps: dict[str, dict[str, Any]] = {}


def step(function: Callable[[], Any]) -> Any:
    """Decorator: the function runs at once. A step that fails is written down, and the next one still runs."""
    printed, found, began = io.StringIO(), {}, time.monotonic()
    try:
        with contextlib.redirect_stdout(printed):
            found["value"] = function()
    except Exception as error:
        found |= {"error": str(error), "error_type": type(error).__name__, "trace": traceback.format_exc()}
    found |= {"printed": printed.getvalue(), "seconds": time.monotonic() - began}
    _steps[function.__name__] = found
    Path(sys.argv[1]).write_text(json.dumps(_steps, default=str))
    return found.get("value")


def until(condition: Callable[[], Any], deadline_s: float = 90) -> Any:
    """The first true answer of ``condition``. Raises TimeoutError."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {deadline_s} s")
        time.sleep(0.2)
    return found
