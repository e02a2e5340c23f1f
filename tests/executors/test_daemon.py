import os
import signal
import sys
from pathlib import Path

import pytest

from darkroom.executors.daemon import start_detached
from darkroom.testing.executor_bench import until


def test_it_has_a_session_of_its_own_and_writes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    code = (
        "import os, sys; print(os.getsid(0) == os.getpid(), os.environ['X'], sys.stdin.read(), flush=True); sys.exit(3)"
    )
    pid = start_detached([sys.executable, "-c", code], log, {**os.environ, "X": "x"})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert log.read_text() == "before\nTrue x \n"


def test_it_outlives_its_starter(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sleeper = "import time; print('up', flush=True); time.sleep(3600)"
    starter = (
        "import sys; from pathlib import Path; from darkroom.executors.daemon import start_detached\n"
        f"print(start_detached([sys.executable, '-c', {sleeper!r}], Path({str(log)!r})))"
    )
    parent = start_detached([sys.executable, "-c", starter], tmp_path / "starter")
    assert os.waitpid(parent, 0)[1] == 0
    until(lambda: log.exists() and log.read_text() == "up\n")
    os.kill(int((tmp_path / "starter").read_text()), signal.SIGKILL)


def test_a_program_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start_detached(["no-such-program"], tmp_path / "log")
