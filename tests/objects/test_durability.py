"""kill -9 of a real server in the middle of concurrent writes: what was acknowledged is there, nothing else is left."""

import contextlib
import hashlib
import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from darkroom.objects.local import LocalStore
from darkroom.testing.live_s3 import KEY, SECRET
from tests.objects.polling import wait_until

pytestmark = pytest.mark.slow

BUCKET = "photos"
MIB = 2**20
WRITERS = 6
ACKNOWLEDGED_BEFORE_THE_KILL = (5, 40, 120)


def content(seed: str, size: int) -> bytes:
    return (hashlib.sha256(seed.encode()).digest() * (size // 32 + 1))[:size]


class Server:
    """A process that can be killed."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-m", "darkroom.testing.live_s3", str(root)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def client(self) -> Any:
        once = Config(retries={"total_max_attempts": 1}, max_pool_connections=WRITERS)
        return boto3.client(
            *("s3", "us-east-1"),
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=once,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


class Writer(threading.Thread):
    """Writes keys of its own until the server is gone: ``must`` was acknowledged, ``may`` was under way."""

    def __init__(self, s3: Any, number: int) -> None:
        super().__init__()
        self.s3, self.number = s3, number
        self.must: dict[str, bytes | None] = {}
        self.may: tuple[str, bytes | None] | None = None
        self.count = 0

    def run(self) -> None:
        with contextlib.suppress(BotoCoreError, ClientError):
            for turn in itertools.count():
                self.one(turn)
                self.count = turn + 1

    def one(self, turn: int) -> None:
        key = f"{self.number}/{turn % 7}"
        if turn % 5 == 4:
            self.attempt(key, None, lambda: self.s3.delete_object(Bucket=BUCKET, Key=key))
        elif turn % 11 == 10:
            whole = content(f"{key} {turn}", 6 * MIB)
            self.attempt(key, whole, lambda: self.multipart(key, whole))
        else:
            body = content(f"{key} {turn}", 1 + 9973 * (turn % 30))
            self.attempt(key, body, lambda: self.s3.put_object(Bucket=BUCKET, Key=key, Body=body))

    def attempt(self, key: str, value: bytes | None, call: Any) -> None:
        self.may = key, value
        call()
        self.must[key], self.may = value, None

    def multipart(self, key: str, whole: bytes) -> None:
        where = {"Bucket": BUCKET, "Key": key}
        where["UploadId"] = self.s3.create_multipart_upload(**where)["UploadId"]
        parts = [
            {"PartNumber": n, "ETag": self.s3.upload_part(**where, PartNumber=n, Body=body)["ETag"]}
            for n, body in ((1, whole[: 5 * MIB]), (2, whole[5 * MIB :]))
        ]
        self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


def check(root: Path, writers: list[Writer]) -> None:
    store = LocalStore(root)
    found = {item.key: b"".join(store.read(item)) for item in store.list(BUCKET).objects}
    for writer in writers:
        for key in {f"{writer.number}/{turn}" for turn in range(7)}:
            allowed = [writer.must.get(key)] + ([writer.may[1]] if writer.may and writer.may[0] == key else [])
            assert found.get(key) in allowed, f"{key} is not what was acknowledged"
    for item in store.list(BUCKET).objects:
        assert store.get(BUCKET, item.key).size == len(found[item.key])
    for upload in store.uploads(BUCKET):
        store.abort_upload(upload)
    store.close()
    store = LocalStore(root)
    wait_until(lambda: len(list(files(root))) == len(found))
    assert {store.path(item) for item in store.list(BUCKET).objects} == set(files(root))
    store.close()


def files(root: Path) -> Iterator[Path]:
    return (path for path in (root / "blobs").rglob("*") if path.is_file())


def test_acknowledged_objects_survive_kill_9_and_nothing_else_does(root: Path) -> None:
    before: list[Writer] = []
    for acknowledged in ACKNOWLEDGED_BEFORE_THE_KILL:
        server = Server(root)
        s3 = server.client()
        with contextlib.suppress(ClientError):
            s3.create_bucket(Bucket=BUCKET)
        writers = [Writer(s3, number) for number in range(WRITERS)]
        for writer, earlier in zip(writers, before, strict=False):
            writer.must = dict(earlier.must)
            if earlier.may is not None:  # the last one under way may have arrived or not: write it anew
                s3.delete_object(Bucket=BUCKET, Key=earlier.may[0])
                writer.must[earlier.may[0]] = None
        for writer in writers:
            writer.start()
        wait_until(lambda: sum(w.count for w in writers) >= acknowledged)  # noqa: B023
        server.kill()
        for writer in writers:
            writer.join()
        assert sum(w.count for w in writers) >= acknowledged
        check(root, writers)
        before = writers
