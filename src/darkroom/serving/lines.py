"""Lines of the worker's log, in the style of SageMaker's containers: the algorithms' prefix and nginx's access line."""

import sys
import threading
from datetime import UTC, datetime
from typing import Any


def log_line(level: str, message: str, now: float) -> str:
    """``[MM/DD/YYYY HH:MM:SS LEVEL thread] message``; ``now`` in epoch seconds."""
    return f"[{datetime.fromtimestamp(now, UTC):%m/%d/%Y %H:%M:%S} {level} {threading.get_ident()}] {message}"


def access_line(scope: dict[str, Any], status: int, size_bytes: int, now: float, took_s: float) -> str:
    """nginx's combined format, and how long the answer took. Control characters in a header cannot make a new line."""
    client = (scope.get("client") or ("-",))[0] or "-"
    agent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "-")
    request = f"{scope['method']} {scope['path']} HTTP/{scope['http_version']}"
    moment = f"{datetime.fromtimestamp(now, UTC):%d/%b/%Y:%H:%M:%S +0000}"
    line = f'{client} - - [{moment}] "{request}" {status} {size_bytes} "-" "{agent}" {took_s * 1e3:.1f}ms'
    return "".join(c if c.isprintable() else "?" for c in line)


def print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
