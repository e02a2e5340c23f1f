"""up, status, env, run, down: the real commands and a real server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom import instance
from tests.cli.conftest import Darkroom

pytestmark = pytest.mark.slow

IDENTITY = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"


def test_up_says_how_to_use_it_and_does_nothing_twice(darkroom: Darkroom) -> None:
    said = darkroom.ok("up")
    assert f"Darkroom is up at http://127.0.0.1:{darkroom.port}" in said
    assert 'eval "$(darkroom env)"' in said
    first = instance.find(darkroom.home)
    again = darkroom("up", "--port", darkroom.port + 1)
    assert again.returncode == 0
    assert f"runs already at http://127.0.0.1:{darkroom.port}" in again.stdout
    assert "darkroom down, then darkroom up again" in again.stderr
    assert instance.find(darkroom.home) == first


def test_two_starts_at_once_end_with_one_server(darkroom: Darkroom) -> None:
    argv = [sys.executable, "-m", "darkroom.cli.main", "up"]
    starts = [subprocess.Popen(argv, env=darkroom.environ, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [start.communicate(timeout=120)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0]
    assert all(f"at http://127.0.0.1:{darkroom.port}" in text for text in said)
    assert instance.find(darkroom.home) is not None


def test_a_home_named_by_option_is_named_in_the_next_commands(darkroom: Darkroom, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    said = darkroom.ok("--home", elsewhere, "up")
    try:
        assert f"""eval "$(darkroom --home '{elsewhere}' env)\"""" in said
        assert f"export DARKROOM_HOME='{elsewhere}'" in darkroom.ok("--home", elsewhere, "env")
        assert darkroom("status").returncode == 1
    finally:
        darkroom.ok("--home", elsewhere, "down")


def test_other_programs_reach_it_by_eval_and_by_run(darkroom: Darkroom) -> None:
    by_run = darkroom("run", "--", sys.executable, "-c", IDENTITY, AWS_PROFILE="nowhere", AWS_SESSION_TOKEN="stale")
    assert by_run.stdout == "000000000000\n", by_run.stderr
    assert "started Darkroom at" in by_run.stderr
    script = f"""eval "$({sys.executable} -m darkroom.cli.main env)"; {sys.executable} -c "{IDENTITY}" """
    environ = darkroom.environ | {"AWS_PROFILE": "nowhere", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"}
    by_eval = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True)
    assert by_eval.stdout == "000000000000\n", by_eval.stderr


def test_run_ends_as_the_command_ends(darkroom: Darkroom) -> None:
    darkroom.ok("up")
    assert darkroom("run", "--", "sh", "-c", "exit 7").returncode == 7
    assert darkroom("run", "sh", "-c", "exit 8").returncode == 8
    missing = darkroom("run", "--", "no-such-command")
    assert (missing.returncode, missing.stderr) == (127, "error no command named 'no-such-command' on the PATH\n")


def test_env_holds_pip_to_a_generation_of_the_sdk(darkroom: Darkroom) -> None:
    darkroom.ok("up")
    values = json.loads(darkroom.ok("env", "--sdk", 1, "--json"))
    assert "sagemaker==1.72.1" in Path(values["PIP_CONSTRAINT"]).read_text().split()
    assert "PIP_CONSTRAINT" not in json.loads(darkroom.ok("env", "--json"))
    assert darkroom("env", "--sdk", 4).returncode == 2


def test_status_is_also_for_programs(darkroom: Darkroom) -> None:
    stopped = darkroom("status", "--json")
    assert (stopped.returncode, json.loads(stopped.stdout)["running"]) == (1, False)
    darkroom.ok("up", "--region", "eu-west-1")
    record = json.loads(darkroom.ok("status", "--json"))
    assert (record["running"], record["healthy"], record["port"]) == (True, True, darkroom.port)
    assert "eu-west-1" in darkroom.ok("status")


def test_down_waits_and_may_be_said_twice(darkroom: Darkroom) -> None:
    darkroom.ok("up")
    pid = instance.find(darkroom.home).pid  # type: ignore[union-attr]
    assert f"process {pid} ended" in darkroom.ok("down")
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert "No server runs" in darkroom.ok("down")


def test_after_kill_it_comes_up_again(darkroom: Darkroom) -> None:
    darkroom.ok("up")
    killed = instance.find(darkroom.home)
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while killed.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "Darkroom is up" in darkroom.ok("up")


def test_a_taken_port_is_named_with_the_remedy(darkroom: Darkroom) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = darkroom("up", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "darkroom up --port PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_fails_to_start_is_explained_from_its_log(darkroom: Darkroom) -> None:
    done = darkroom("up", "--log-level", "nonsense")
    assert done.returncode == 1
    assert "ended while it was starting" in done.stderr
    assert "NONSENSE" in done.stderr or "nonsense" in done.stderr


def test_settings_are_told_and_wrong_ones_refused(darkroom: Darkroom) -> None:
    assert str(darkroom.port) in darkroom.ok("settings")
    done = darkroom("settings", DARKROOM_PORT="x")
    assert (done.returncode, done.stderr) == (2, "error setting port is 'x', which is not a whole number\n")


def test_without_a_server_every_command_says_how_to_start_one(darkroom: Darkroom) -> None:
    for arguments in (["jobs"], ["endpoints"], ["logs", "x"], ["deploy", "x"], ["delete", "x"], ["env"], ["stop", "x"]):
        done = darkroom(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error no server runs on {darkroom.home}; start it with: darkroom up\n"


def test_the_version_is_told(darkroom: Darkroom) -> None:
    assert darkroom.ok("--version") == "darkroom 0.1.0\n"
