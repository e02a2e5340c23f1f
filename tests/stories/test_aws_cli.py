"""The aws command line, led here by the printed environment alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.testing.live_server import LiveServer
from tests.stories import photos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AWS = Path(sys.executable).with_name("aws")


@pytest.fixture
def aws(server: LiveServer):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | server.environment()

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([AWS, *arguments], env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_folder_of_photos_goes_up_and_comes_back_the_same(aws, tmp_path: Path) -> None:
    name = photos.classes(1)[0]
    aws("s3", "mb", "s3://by-command")
    aws("s3", "cp", photos.PHOTOS / name, f"s3://by-command/{name}", "--recursive", "--quiet")
    assert len(aws("s3", "ls", f"s3://by-command/{name}/").splitlines()) == len(list((photos.PHOTOS / name).iterdir()))
    aws("s3", "sync", f"s3://by-command/{name}", tmp_path / name, "--quiet")
    for path in (photos.PHOTOS / name).iterdir():
        assert (tmp_path / name / path.name).read_bytes() == path.read_bytes()
    aws("s3", "rb", "s3://by-command", "--force")
    assert "by-command" not in aws("s3", "ls")


def test_who_am_i_and_what_is_there(aws) -> None:
    assert ":assumed-role/" in json.loads(aws("sts", "get-caller-identity"))["Arn"]
    assert "TrainingJobSummaries" in json.loads(aws("sagemaker", "list-training-jobs"))
    assert "logGroups" in json.loads(aws("logs", "describe-log-groups"))
