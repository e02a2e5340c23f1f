"""The server's life as the command line steers it: start, wait for health, stop, say how it is.

Knows a pid file, a log file and one health page; what the server does is not its business.
"""

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from darkroom import client_files, instance
from darkroom.cli.console import Failure
from darkroom.executors.daemon import start_detached
from darkroom.instance import Instance
from darkroom.settings import Settings, load

HEALTH = "/_darkroom/health"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.05
LOG_TAIL_LINES = 12
NO_PROXIES = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Wait = Callable[[float], None]


def settings_of_running(given: Settings) -> Settings:
    """``given`` with the address and region of the server that runs on its home. Raises Failure where none runs."""
    found = instance.find(given.home)
    if found is None:
        raise Failure(f"no server runs on {given.home}; start it with: darkroom up")
    return replace(given, host=found.host, port=found.port, region=found.region)


def start(settings: Settings, wait: Wait = time.sleep, environ: Mapping[str, str] = os.environ) -> bool:
    """Start the server on ``settings`` and wait until it answers. False where one answers on that home already.

    Raises Failure, with the reason from its log, where it does not come up.
    """
    if instance.find(settings.home) is not None:
        _wait_for_health(settings_of_running(settings), wait)
        return False
    _refuse_taken_port(settings)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = settings.home / instance.LOG
    began = log.stat().st_size if log.exists() else 0
    pid = start_detached([sys.executable, "-m", "darkroom.app"], log, {**environ, **as_variables(settings)})
    try:
        # Where ours ended because another start was quicker, theirs is as good.
        _wait_for_health(settings, wait, alive=lambda: _alive(pid) or instance.find(settings.home) is not None)
    except Failure as failure:
        raise Failure(f"{failure}; its log, {log}, ends with:\n{_tail(log, began)}") from None
    return True


def foreground(settings: Settings) -> tuple[str, list[str], dict[str, str]]:
    """Arguments of ``os.execve`` that turn this process into the server. Raises Failure where one runs already."""
    if instance.find(settings.home) is not None:
        raise Failure(f"a server already runs on {settings.home}; stop it with: darkroom down")
    _refuse_taken_port(settings)
    return sys.executable, [sys.executable, "-m", "darkroom.app"], {**os.environ, **as_variables(settings)}


def stop(home: Path, timeout_s: float = STOP_TIMEOUT_S) -> Instance | None:
    """Stop the server on ``home`` and return what it was; None where none ran. Raises Failure where it will not end."""
    found = instance.find(home)
    if found is not None and not found.stop(timeout_s):
        raise Failure(
            f"the server (process {found.pid}) is still ending after {timeout_s:.0f} s; see {home / instance.LOG}"
        )
    return found


def health(settings: Settings, timeout_s: float = 5.0) -> dict[str, Any] | None:
    """What the health page says; None where nothing answers there."""
    try:
        with NO_PROXIES.open(client_files.url(settings) + HEALTH, timeout=timeout_s) as answer:
            body = answer.read()
    except (urllib.error.URLError, OSError):
        return None
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def as_variables(settings: Settings) -> dict[str, str]:
    """Every setting as its variable: so secrets among them never stand in a command line."""
    return {f"DARKROOM_{f.name.upper()}": str(getattr(settings, f.name)) for f in fields(settings)}


def loaded(**given: Any) -> Settings:
    return load(os.environ, **given)


def _wait_for_health(settings: Settings, wait: Wait, alive: Callable[[], bool] = lambda: True) -> None:
    for _ in _polls(START_TIMEOUT_S, wait):
        if health(settings) is not None:
            return
        if not alive():
            raise Failure("the server ended while it was starting")
    raise Failure(f"the server does not answer at {client_files.url(settings)} after {START_TIMEOUT_S:.0f} s")


def _polls(timeout_s: float, wait: Wait) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        wait(POLL_S)


def _alive(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:  # detached for good: not our child
        return Path(f"/proc/{pid}").exists()


def _refuse_taken_port(settings: Settings) -> None:
    if not 0 < settings.port < 2**16:
        raise Failure(f"port {settings.port} is none; choose one of 1 to 65535", 2)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise Failure(
                f"cannot listen on {settings.host}:{settings.port} ({reason}); choose another: darkroom up --port PORT"
            ) from None


def _tail(log: Path, began: int) -> str:
    """The last lines that were written since ``began``."""
    if not log.exists():
        return "(nothing)"
    with open(log, "rb") as file:
        file.seek(began)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:]) or "(nothing)"
