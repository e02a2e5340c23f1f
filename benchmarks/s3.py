"""S3 against moto_server: one large object there and back, and many small files by the aws CLI.

Both serve from a process of their own and are driven in turns. Ours syncs every byte to disk before it answers; moto
keeps what it is given in temporary files and memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import boto3
import psutil
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from benchmarks.rows import Row, compare
from darkroom.testing.live_s3 import KEY, SECRET
from darkroom.testing.live_server import free_port

BUCKET = "photos"
MIB = 2**20
LARGE_BYTES = 1024 * MIB
LARGE_ROUNDS = 3
SMALL_FILES, SMALL_BYTES = 3700, 15_000
SMALL_ROUNDS = 2
GROWTH_LIMIT_MIB = 64
SERVERS = ("ours", "moto")


@dataclass
class Server:
    """A server in a process of its own."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        own = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
        return os.environ | own | {"AWS_ENDPOINT_URL": self.url}

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(max_pool_connections=16),
        )

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def peak_bytes(self) -> int:
        """The most that was resident since ``forget_peak``."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@contextmanager
def server(which: str, folder: Path) -> Iterator[Server]:
    port = free_port()
    if which == "ours":
        command = [sys.executable, "-m", "darkroom.testing.live_s3", str(folder), str(port)]
    else:
        command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"TMPDIR": str(folder)})
        made = Server(f"http://127.0.0.1:{port}", process)
        try:
            _wait_until_it_answers(made)
            yield made
        finally:
            process.terminate()
            process.wait()


def _wait_until_it_answers(made: Server) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            made.client().create_bucket(Bucket=BUCKET)
            return
        except Exception:
            if time.monotonic() > deadline or made.process.poll() is not None:
                raise
            time.sleep(0.2)


@contextmanager
def both() -> Iterator[tuple[Path, dict[str, Server]]]:
    """A scratch folder and the two servers."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-", dir=os.environ.get("BENCH_TMP")) as text:
        folder = Path(text)
        for name in SERVERS:
            (folder / name).mkdir()
        with server("ours", folder / "ours") as ours, server("moto", folder / "moto") as moto:
            yield folder, {"ours": ours, "moto": moto}


def measure_large(rounds: int = LARGE_ROUNDS, size: int = LARGE_BYTES) -> dict[str, list[float]]:
    """Seconds per round, and by how many bytes our server's memory grew."""
    samples: dict[str, list[float]] = {f"{name} {way}": [] for name in SERVERS for way in ("upload", "download")}
    samples["ours growth"] = []
    config = TransferConfig(max_concurrency=8)
    with both() as (folder, servers):
        source, target = folder / "source", folder / "target"
        _random_file(source, size)
        for _ in range(rounds):
            for name, made in servers.items():
                s3, before = made.client(), made.resident_bytes()
                made.forget_peak()
                begin = time.perf_counter()
                s3.upload_file(str(source), BUCKET, "large", Config=config)
                samples[f"{name} upload"].append(time.perf_counter() - begin)
                begin = time.perf_counter()
                s3.download_file(BUCKET, "large", str(target), Config=config)
                samples[f"{name} download"].append(time.perf_counter() - begin)
                if name == "ours":
                    samples["ours growth"].append(made.peak_bytes() - before)
                assert target.stat().st_size == size
                s3.delete_object(Bucket=BUCKET, Key="large")
                os.sync()  # nobody pays for what the other left to be written
    return samples


def measure_small(rounds: int = SMALL_ROUNDS, files: int = SMALL_FILES) -> dict[str, list[float]]:
    """Seconds per ``aws s3 cp --recursive``."""
    samples: dict[str, list[float]] = {name: [] for name in SERVERS}
    aws = str(Path(sys.executable).parent / "aws")
    with both() as (folder, servers):
        source = folder / "photos"
        for number in range(files):
            _random_file(source / f"{number % 37:03}" / f"{number:05}.jpg", SMALL_BYTES, number)
        os.sync()
        for number in range(rounds):
            for name, made in servers.items():
                command = [aws, "s3", "cp", str(source), f"s3://{BUCKET}/{number}/", "--recursive", "--quiet"]
                begin = time.perf_counter()
                subprocess.run(command, env=made.environment, check=True)
                samples[name].append(time.perf_counter() - begin)
                os.sync()
        found = sum(len(page["Contents"]) for page in _pages(servers["ours"].client()))
        assert found == files * rounds, f"{found} objects arrived"
    return samples


def _pages(s3: Any) -> Any:
    return s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)


def _random_file(path: Path, size: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = Random(seed)
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(random.randbytes(min(MIB, size - start)))


def large() -> list[Row]:
    """Rows of ``make bench``: 1 GiB there and back, and what our server's memory grew by."""
    samples = measure_large()
    rows = [
        compare(
            f"s3-large-{way}",
            [LARGE_BYTES / MIB / seconds for seconds in samples[f"ours {way}"]],
            [LARGE_BYTES / MIB / seconds for seconds in samples[f"moto {way}"]],
            peer_name="moto_server",
            unit="MiB/s",
            more_is_better=True,
        )
        for way in ("upload", "download")
    ]
    growth = [grown / MIB for grown in samples["ours growth"]]
    limit = [float(GROWTH_LIMIT_MIB)] * len(growth)
    return [
        *rows,
        compare("s3-large-memory-growth", growth, limit, peer_name="the limit", unit="MiB", more_is_better=False),
    ]


def small() -> list[Row]:
    """Row of ``make bench``: many small files by the aws CLI."""
    samples = measure_small()
    return [
        compare(
            "s3-small-files", samples["ours"], samples["moto"], peer_name="moto_server", unit="s", more_is_better=False
        )
    ]
