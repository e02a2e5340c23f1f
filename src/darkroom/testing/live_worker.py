"""A real serving worker on a unix socket of its own, and a client for it. For tests and benchmarks."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

STARTS_WITHIN_S = 60


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_s: float = 60) -> None:
        super().__init__("worker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class LiveWorker:
    """``python -m darkroom.serving serve`` on a model folder; its log goes to a file."""

    def __init__(self, model: Path, python: Sequence[str] = (sys.executable,), **environ: str) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="worker"))  # short: a socket's path has room for 107 characters
        self.socket = self.base / "s"
        (self.base / "model").symlink_to(model)
        environ = {"SAGEMAKER_BASE_DIR": str(self.base), "DARKROOM_SOCKET": str(self.socket), **environ}
        with open(self.base / "log", "wb") as log:
            command = [*python, "-m", "darkroom.serving", "serve"]
            self.process = subprocess.Popen(command, env=os.environ | environ, stdout=log, stderr=subprocess.STDOUT)

    def ready(self) -> "LiveWorker":
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.request("GET", "/ping")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the worker did not start: {self.log}")

    @property
    def log(self) -> str:
        return (self.base / "log").read_text()

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        """(status, content type, body)."""
        connection = Connection(self.socket)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.getheader("content-type", ""), response.read()
        finally:
            connection.close()

    def invoke(self, body: bytes, content_type: str = "application/x-image", **headers: str) -> tuple[int, str, bytes]:
        return self.request("POST", "/invocations", body, content_type=content_type, **headers)

    def memory(self, line: str = "VmHWM") -> int:
        """Bytes; VmHWM is the most there ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * next(int(row.split()[1]) for row in status.splitlines() if row.startswith(line))

    def stop(self) -> int:
        """Exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.base)
