"""The front door against nginx: signed 60 KB invocations of a model that does nothing.

Both stand before the same worker (raw ASGI on a unix socket), and door, nginx and worker share one core; the load comes
from another. nginx checks no signature and counts nothing.
"""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks import load
from benchmarks.front_parts import ENDPOINT, KEY, SECRET
from benchmarks.rows import Row, Unavailable, compare
from darkroom.testing.live_server import free_port

BODY_BYTES = 60_000
ROUNDS = 7
ROUND_S = 2.0
NGINX = """
daemon off; worker_processes 1; user {user}; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 8m; client_body_buffer_size 256k; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream worker {{ server unix:{socket}; keepalive 32; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://worker; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


def invocations() -> list[Row]:
    """Rows of ``make bench``."""
    many, one = measure_throughput(), measure_latency()
    added = [ours - direct for ours, direct in zip(one["ours"], one["direct"], strict=True)]
    nginx_added = [peer - direct for peer, direct in zip(one["nginx"], one["direct"], strict=True)]
    return [
        compare("invocations-8-clients", many["ours"], many["nginx"], peer_name="nginx proxying the same worker",
                unit="requests/s", more_is_better=True),
        compare("invocation-added-p50", added, nginx_added, peer_name="nginx proxying the same worker", unit="ms",
                more_is_better=False),
    ]  # fmt: skip


def measure_throughput(clients: int = 8) -> dict[str, list[float]]:
    """requests/s of each round. Raises Unavailable without nginx."""
    with _servers() as addresses:
        return _interleaved(addresses, clients, lambda sample: sample.rate)


def measure_latency() -> dict[str, list[float]]:
    """Median milliseconds of each round, one request at a time; "direct" is the worker's socket itself."""
    with _servers() as addresses:
        return _interleaved(addresses, 1, lambda sample: sample.quantile_ms(0.5))


def _interleaved(addresses, clients, figure) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in addresses}
    for address, path in addresses.values():
        load.run(address, signed_request(path), clients, 0.3)  # warm
    for _ in range(ROUNDS):
        for name, (address, path) in addresses.items():
            figures[name].append(figure(load.run(address, signed_request(path), clients, ROUND_S)))
    return figures


def signed_request(path: str = f"/endpoints/{ENDPOINT}/invocations") -> bytes:
    """One whole signed request; good for a quarter of an hour."""
    body = os.urandom(BODY_BYTES)
    headers = {"Host": "127.0.0.1", "Content-Type": "application/x-image"}
    request = AWSRequest("POST", f"http://127.0.0.1{path}", headers, body)
    SigV4Auth(Credentials(KEY, SECRET), "sagemaker", "us-east-1").add_auth(request)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    head = f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\nUser-Agent: Boto3/1.44.5\r\n\r\n"
    return head.encode() + body


@contextmanager
def _servers() -> Iterator[dict[str, tuple[Path | int, str]]]:
    """Worker, door and nginx on one core, this process on the others. (address, path) by name."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise Unavailable("nginx is not installed: apt-get install nginx-light")
    cores = sorted(os.sched_getaffinity(0))
    processes: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        socket, door, proxy = folder / "worker.sock", free_port(), free_port()
        (folder / "nginx.conf").write_text(
            NGINX.format(folder=folder, user=getpass.getuser(), socket=socket, port=proxy)
        )
        parts = [sys.executable, "-m", "benchmarks.front_parts"]
        try:
            os.sched_setaffinity(0, cores[:1])  # children inherit it
            processes.append(subprocess.Popen([*parts, "worker", str(socket)]))
            processes.append(subprocess.Popen([*parts, "door", str(socket), str(door)]))
            processes.append(subprocess.Popen([nginx, "-c", str(folder / "nginx.conf"), "-p", name]))
            os.sched_setaffinity(0, cores[1:] or cores)
            path = f"/endpoints/{ENDPOINT}/invocations"
            addresses: dict[str, tuple[Path | int, str]] = {
                "ours": (door, path), "nginx": (proxy, path), "direct": (socket, path)
            }  # fmt: skip
            for address, path in addresses.values():
                _wait_for(address, path)
            yield addresses
        finally:
            os.sched_setaffinity(0, cores)
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


def _wait_for(address: Path | int, path: str, deadline_s: float = 20) -> None:
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            load.run(address, signed_request(path), 1, 0.0)
            return
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    for clients in (8, 1):
        print(clients, {k: [round(v) for v in rounds] for k, rounds in measure_throughput(clients).items()})
    print({k: [round(v, 3) for v in rounds] for k, rounds in measure_latency().items()})
