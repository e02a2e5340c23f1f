import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom import instance
from darkroom.errors import Conflict
from darkroom.settings import Settings


def test_a_claimed_home_is_found_and_a_left_one_is_not(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=7)
    with instance.claim(settings) as claimed:
        assert instance.find(tmp_path) == claimed
        assert (claimed.pid, claimed.port) == (os.getpid(), 7)
    assert instance.find(tmp_path) is None


def test_one_server_per_home(tmp_path: Path) -> None:
    second = instance.claim(Settings(home=tmp_path))
    with instance.claim(Settings(home=tmp_path)), pytest.raises(Conflict, match="darkroom down"):
        second.__enter__()


def test_no_home_no_server(tmp_path: Path) -> None:
    assert instance.find(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", ["", "12345\n", "{}", '{"pid": "x"}'])
def test_a_pid_file_that_says_nothing_is_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / instance.FILE).write_text(text)
    assert instance.find(tmp_path) is None


def test_a_process_id_used_again_is_neither_found_nor_signalled(tmp_path: Path) -> None:
    """The pid file of a server that was killed names an id that the kernel has given to a bystander since."""
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        stale = instance.Instance(bystander.pid, started=1, host="127.0.0.1", port=1, region="us-east-1")
        (tmp_path / instance.FILE).write_text(json.dumps(vars(stale)))
        assert instance.find(tmp_path) is None
        assert stale.stop(timeout_s=0)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


SERVER = """
import sys, signal
from pathlib import Path
from darkroom import instance
from darkroom.settings import Settings
with instance.claim(Settings(home=Path(sys.argv[1]))):
    print("up", flush=True)
    signal.sigwait({signal.SIGTERM})
"""


@pytest.fixture
def server(tmp_path: Path):
    """A process that holds ``tmp_path`` until SIGTERM."""
    argv = [sys.executable, "-c", f"import signal; signal.pthread_sigmask(0, {{15}})\n{SERVER}", str(tmp_path)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_stop_waits_for_the_end(tmp_path: Path, server: "subprocess.Popen[bytes]") -> None:
    found = instance.find(tmp_path)
    assert found is not None
    assert found.pid == server.pid
    assert found.stop(timeout_s=30)
    assert server.wait(30) == 0
    assert instance.find(tmp_path) is None


def test_a_killed_server_leaves_the_home_free(tmp_path: Path, server: "subprocess.Popen[bytes]") -> None:
    server.kill()
    server.wait(30)
    assert (tmp_path / instance.FILE).read_text() != ""
    assert instance.find(tmp_path) is None
    with instance.claim(Settings(home=tmp_path)) as ours:
        assert instance.find(tmp_path) == ours
