import os
import subprocess
import sys
from pathlib import Path

from darkroom.executors import locks


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    assert not locks.held(tmp_path)
    lock = locks.take(tmp_path)
    assert lock is not None
    assert locks.held(tmp_path)
    assert locks.held(tmp_path)  # looking does not take it
    assert locks.take(tmp_path) is None
    os.close(lock)
    assert not locks.held(tmp_path)


def test_an_heir_holds_it_until_its_end(tmp_path: Path) -> None:
    lock = locks.take(tmp_path)
    assert lock is not None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock]) as heir:
        os.close(lock)
        assert locks.held(tmp_path)
        heir.kill()
        heir.wait()
        assert not locks.held(tmp_path)
