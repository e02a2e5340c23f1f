"""A real server in a process of its own, for tests of anything that talks to one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from darkroom import client_files, identity
from darkroom.settings import Settings, load


@dataclass
class LiveServer:
    """One home folder and the process that serves it; the process may be killed and started again."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # further DARKROOM_* settings
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port = self.port or free_port()

    @property
    def settings(self) -> Settings:
        return load({**self.variables, "DARKROOM_HOME": str(self.home), "DARKROOM_PORT": str(self.port)})

    @property
    def url(self) -> str:
        return self.settings.url

    def environment(self, sdk: int | None = None) -> dict[str, str]:
        """What ``darkroom env`` prints: all that a client needs."""
        return client_files.environment(self.settings, identity.load_or_create(self.home), sdk)

    def start(self, deadline_s: float = 30) -> "LiveServer":
        """Starts the server and waits until it answers. Raises RuntimeError with the end of its log."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DARKROOM_"))}
        environ |= {**self.variables, "DARKROOM_HOME": str(self.home), "DARKROOM_PORT": str(self.port)}
        log = self.home / "live-server.log"
        self.home.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "darkroom.app"], env=environ, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + deadline_s
        while self.health() is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not come up:\n{log.read_text()[-4000:]}")
            time.sleep(0.02)
        return self

    def health(self) -> dict[str, object] | None:
        """The health answer; None while nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/_darkroom/health", timeout=2) as answer:
                found: dict[str, object] = json.loads(answer.read())
                return found
        except (urllib.error.URLError, OSError, ValueError):
            return None

    def stop(self, deadline_s: float = 30) -> None:
        """SIGTERM, as ``darkroom down`` does, then waits."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def kill(self) -> None:
        """kill -9, the hardest end there is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def live_server(home: Path, **variables: str) -> Iterator[LiveServer]:
    """A server on a free port of loopback, stopped at the end; ``variables`` are DARKROOM_* settings."""
    server = LiveServer(home, variables).start()
    try:
        yield server
    finally:
        server.stop()
