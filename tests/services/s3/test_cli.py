"""The real aws command line: cp, sync, ls, mv, rm, mb, rb, presign."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkroom.testing.live_s3 import KEY, SECRET, LiveS3

AWS = Path(sys.executable).parent / "aws"
MIB = 2**20
pytestmark = pytest.mark.clients
Aws = Callable[..., str]


@pytest.fixture
def aws(server: LiveS3, tmp_path: Path) -> Aws:
    """Runs ``aws s3 …`` and gives what it printed."""
    own = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [AWS, "s3", *words], env=os.environ | own, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of class folders, with names that need care."""
    folder = tmp_path / "photos"
    for name in ("cats/1.jpg", "cats/2 ü+%.jpg", "dogs/1.jpg", "labels.lst"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "big.rec").write_bytes(bytes(range(256)) * (20 * MIB // 256))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_there_and_back(aws: Aws, s3: Any, bucket: str, photos: Path, tmp_path: Path) -> None:
    aws("cp", str(photos), f"s3://{bucket}/train/", "--recursive", "--quiet")
    assert s3.head_object(Bucket=bucket, Key="train/cats/1.jpg")["ContentType"] == "image/jpeg"
    aws("cp", f"s3://{bucket}/train/", str(tmp_path / "back"), "--recursive", "--quiet")
    assert tree(tmp_path / "back") == tree(photos)


def test_sync_sends_only_what_changed(aws: Aws, bucket: str, photos: Path) -> None:
    assert aws("sync", str(photos), f"s3://{bucket}").count("upload:") == 5
    assert aws("sync", str(photos), f"s3://{bucket}") == ""
    (photos / "cats/1.jpg").write_bytes(b"new")
    (photos / "dogs/1.jpg").unlink()
    told = aws("sync", str(photos), f"s3://{bucket}", "--delete")
    assert (told.count("upload:"), told.count("delete:")) == (1, 1)


def test_ls_shows_folders_and_sizes(aws: Aws, bucket: str, photos: Path) -> None:
    aws("cp", str(photos), f"s3://{bucket}/", "--recursive", "--quiet", "--exclude", "*.rec")
    assert bucket in aws("ls")
    lines = aws("ls", f"s3://{bucket}/").splitlines()
    assert [line.split()[-1] for line in lines] == ["cats/", "dogs/", "labels.lst"]
    assert "cats/2 ü+%.jpg" in aws("ls", f"s3://{bucket}/", "--recursive")
    assert "Total Objects: 4" in aws("ls", f"s3://{bucket}/", "--recursive", "--summarize")
    aws("ls", f"s3://{bucket}/nothing", code=1)


def test_streams(aws: Aws, s3: Any, bucket: str, photos: Path) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"over stdout")
    assert aws("cp", f"s3://{bucket}/k", "-") == "over stdout"


def test_copies_and_moves_within(aws: Aws, s3: Any, bucket: str, photos: Path) -> None:
    aws("cp", str(photos / "big.rec"), f"s3://{bucket}/big.rec", "--quiet")
    aws("cp", f"s3://{bucket}/big.rec", f"s3://{bucket}/copy.rec", "--quiet")
    aws("mv", f"s3://{bucket}/copy.rec", f"s3://{bucket}/moved.rec", "--quiet")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["big.rec", "moved.rec"]
    assert s3.get_object(Bucket=bucket, Key="moved.rec")["Body"].read() == (photos / "big.rec").read_bytes()


def test_buckets_and_removal(aws: Aws, bucket: str, photos: Path) -> None:
    name = f"s3://{bucket}-cli"
    assert "make_bucket" in aws("mb", name)
    aws("cp", str(photos), name, "--recursive", "--quiet")
    assert "BucketNotEmpty" in aws("rb", name, code=1)
    assert aws("rm", f"{name}/cats", "--recursive").count("delete:") == 2
    assert "remove_bucket" in aws("rb", name, "--force")
    assert "NoSuchBucket" in aws("ls", name, code=255)


def test_presign(aws: Aws, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a b", Body=b"signed")
    with urllib.request.urlopen(aws("presign", f"s3://{bucket}/a b").strip()) as answer:
        assert answer.read() == b"signed"


def test_what_is_missing_is_said(aws: Aws, bucket: str, tmp_path: Path) -> None:
    assert "(404)" in aws("cp", f"s3://{bucket}/nope", str(tmp_path / "x"), code=1)
