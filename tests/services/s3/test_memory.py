"""Bodies stream: a server's memory does not grow with what passes through it."""

import filecmp
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig

from darkroom.testing.live_s3 import KEY, SECRET

pytestmark = pytest.mark.slow

MIB = 2**20
SIZE = 256 * MIB
GROWTH = 64 * MIB


def most_resident(pid: int) -> int:
    """Bytes, since the process began."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("threshold", [SIZE + 1, 8 * MIB], ids=["one put", "in parts"])
def test_a_large_object_there_and_back_leaves_memory_flat(tmp_path: Path, threshold: int) -> None:
    command = [sys.executable, "-m", "darkroom.testing.live_s3", str(tmp_path / "objects")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    s3: Any = boto3.client("s3", endpoint_url=process.stdout.readline().strip(), **keys)
    try:
        s3.create_bucket(Bucket="photos")
        s3.put_object(Bucket="photos", Key="small", Body=b"x" * MIB)
        before = most_resident(process.pid)
        there_and_back(s3, TransferConfig(multipart_threshold=threshold, max_concurrency=4), tmp_path)
        assert most_resident(process.pid) - before < GROWTH
    finally:
        process.kill()
        process.communicate()


def there_and_back(s3: Any, config: TransferConfig, folder: Path) -> None:
    with open(folder / "sent", "wb") as sent:
        for number in range(SIZE // MIB):
            sent.write(number.to_bytes(4, "big") * (MIB // 4))
    s3.upload_file(str(folder / "sent"), "photos", "large", Config=config)
    s3.download_file("photos", "large", str(folder / "got"), Config=config)
    assert filecmp.cmp(folder / "sent", folder / "got", shallow=False)
