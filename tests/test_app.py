"""The whole platform in one process: what it may not import, and that it lives through kill -9."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from darkroom.testing.live_server import LiveServer, live_server

pytestmark = pytest.mark.slow

HEAVY = ("torch", "cv2", "PIL", "simplejpeg", "numpy", "boto3", "rich", "typer", "matplotlib")


def clients(server: LiveServer) -> Any:
    variables = server.environment()
    session = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return lambda name: session.client(name, endpoint_url=server.url)


def test_the_server_imports_nothing_that_runs_in_a_job() -> None:
    probe = f"import sys, darkroom.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_objects_outlive_a_killed_server(tmp_path: Path) -> None:
    server = LiveServer(tmp_path).start()
    s3 = clients(server)("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a photo", Body=b"pixels")
    server.kill()
    server.start()
    assert s3.get_object(Bucket="kept", Key="a photo")["Body"].read() == b"pixels"
    server.stop()


def test_a_second_server_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with live_server(tmp_path) as first:
        second = LiveServer(tmp_path)
        with pytest.raises(RuntimeError, match="already runs"):
            second.start()
        assert first.health() is not None


def test_objects_may_live_in_another_server(tmp_path: Path) -> None:
    """The external S3 is a second Darkroom."""
    with live_server(tmp_path / "far") as far:
        keys = far.environment()
        settings = {
            "DARKROOM_S3_ENDPOINT": far.url,
            "DARKROOM_S3_KEY": keys["AWS_ACCESS_KEY_ID"],
            "DARKROOM_S3_SECRET": keys["AWS_SECRET_ACCESS_KEY"],
        }
        with live_server(tmp_path / "near", **settings) as near:
            s3 = clients(near)("s3")
            s3.create_bucket(Bucket="elsewhere")
            s3.put_object(Bucket="elsewhere", Key="photo", Body=b"pixels")
        assert clients(far)("s3").get_object(Bucket="elsewhere", Key="photo")["Body"].read() == b"pixels"


def test_nobody_gets_in_without_the_key(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        wrong = boto3.Session(server.environment()["AWS_ACCESS_KEY_ID"], "not the secret", region_name="us-east-1")
        for service, call, code in (
            ("s3", "list_buckets", "SignatureDoesNotMatch"),
            ("sagemaker", "list_training_jobs", "InvalidSignatureException"),
            ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ):
            with pytest.raises(ClientError) as caught:
                getattr(wrong.client(service, endpoint_url=server.url), call)()
            assert caught.value.response["Error"]["Code"] == code
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_server_that_is_stopped_says_goodbye(tmp_path: Path) -> None:
    """SIGTERM ends it with exit code 0, its pid file empty: nothing was cut short."""
    with live_server(tmp_path) as server:
        assert (tmp_path / "server.pid").read_text()
    assert server.process is not None
    assert server.process.returncode == 0
    assert (tmp_path / "server.pid").read_text() == ""


@pytest.mark.parametrize("home", ["a file", "/proc/self/home"])
def test_a_home_that_cannot_be_written_to_is_said_in_one_sentence(tmp_path: Path, home: str) -> None:
    (tmp_path / "a file").touch()
    environ = {"DARKROOM_HOME": str(tmp_path / home), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-m", "darkroom.app"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"darkroom: {tmp_path / home} cannot be the home folder of a server (")
    assert ended.stderr.count("\n") == 1
