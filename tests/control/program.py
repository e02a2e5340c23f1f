"""A user's program as small as can be: trains or serves as the environment variables of the request tell it.

Every run appends a line to LEDGER, so that tests can count how often a task really ran.
"""

import http.server
import os
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def train() -> int:
    note("train")
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    (BASE / "model" / "weights").write_text("learned: " + os.environ.get("LESSON", "nothing"))
    print("Epoch[0] Validation-accuracy=0.250000", flush=True)
    print("Epoch[1] Validation-accuracy=0.750000", flush=True)
    if "UNTIL" in os.environ:  # a file that says: go on
        while not Path(os.environ["UNTIL"]).exists() and not stopped.is_set():
            time.sleep(0.01)
    if stopped.is_set():
        print("stopped early", flush=True)
        return 0 if os.environ.get("ON_STOP") == "0" else 143
    if "FAILURE" in os.environ:
        (BASE / "output").mkdir(exist_ok=True)
        (BASE / "output" / "failure").write_text(os.environ["FAILURE"])
    if "RAISE" in os.environ:
        raise ValueError(os.environ["RAISE"])
    if "SIGNAL" in os.environ:
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    return int(os.environ.get("EXIT", "0"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(503 if "NEVER_READY" in os.environ else 200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, (BASE / "model" / "weights").read_bytes() + f" [{os.environ.get('MARK', '')}]".encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def serve() -> int:
    note(f"serve {os.getpid()}")
    if "RAISE" in os.environ:
        raise ValueError(os.environ["RAISE"])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Server(os.environ["DARKROOM_SOCKET"], Handler).serve_forever()
    return 0


def note(line: str) -> None:
    if "LEDGER" in os.environ:
        with open(os.environ["LEDGER"], "a") as ledger:
            ledger.write(line + "\n")


if __name__ == "__main__":
    sys.exit({"train": train, "serve": serve}[sys.argv[1]]())
