"""The launcher by itself: what it weighs, and what it does when nobody looks."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.executors import launching, locks, records
from darkroom.executors.base import Phase
from darkroom.testing.executor_bench import OVER, WAIT, gone, python, until
from tests.executors.bench import LocalBench

HEAVY = {"dataclasses", "pathlib", "subprocess", "logging", "asyncio", "socket", "tarfile", "inspect", "threading"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LocalBench]:
    bench = LocalBench(tmp_path, "auto")
    yield bench
    bench.close()


def launcher_of(bench: LocalBench, task_id: str) -> int:
    return int(until(lambda: records.read(bench.folder(task_id), records.LAUNCHED))["pid"])


def test_it_imports_almost_nothing() -> None:
    code = "import sys, darkroom.executors.launcher; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY.isdisjoint(loaded)


def test_it_is_small(bench: LocalBench) -> None:
    bench.executor.start(python("t", WAIT))
    bench.wait_line("t", "running")
    status = Path(f"/proc/{launcher_of(bench, 't')}/status").read_text()
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    assert resident_kb < 16_000


def test_it_has_a_session_of_its_own_and_so_has_the_job(bench: LocalBench) -> None:
    bench.executor.start(python("t", "print(os.getpid(), os.getsid(0), os.getpgrp(), flush=True); wait_for_the_end()"))
    pid, session, group = (int(word) for word in until(lambda: bench.lines("t"))[0].split())
    launcher = launcher_of(bench, "t")
    assert (session, group) == (pid, pid)
    assert os.getsid(launcher) == launcher


def test_the_job_inherits_nothing_but_its_output(bench: LocalBench) -> None:
    leaked, other_end = os.pipe()
    os.set_inheritable(leaked, True)
    bench.run("print(sorted(os.listdir('/proc/self/fd'), key=int))\nprint(os.read(0, 1))")
    assert bench.lines("t") == ["['0', '1', '2', '3']", "b''"]  # 3 is the listing's own
    os.close(leaked)
    os.close(other_end)


def test_signals_are_as_a_program_expects_them(bench: LocalBench) -> None:
    shell = "trap 'exit 9' TERM HUP INT PIPE; trap"
    bench.run(f"print(subprocess.run(['sh', '-c', {shell!r}], capture_output=True, text=True).stdout.count('exit 9'))")
    assert bench.lines("t") == ["4"]


def test_a_stray_sigterm_stops_the_job_as_a_shutdown_would(bench: LocalBench) -> None:
    bench.executor.start(python("t", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(6))\n" + WAIT))
    bench.wait_line("t", "running")
    os.kill(launcher_of(bench, "t"), signal.SIGTERM)
    assert bench.wait("t", *OVER).exit_code == 6


def test_it_is_not_started_twice(bench: LocalBench) -> None:
    bench.executor.start(python("t", WAIT))
    bench.wait_line("t", "running")
    assert locks.held(bench.folder("t"))
    assert locks.take(bench.folder("t")) is None


def test_a_job_that_closes_its_output_runs_on(bench: LocalBench) -> None:
    found = bench.run("print('closing', flush=True)\nos.close(1); os.close(2)\ntime.sleep(0.1)\nos._exit(4)")
    assert found.exit_code == 4
    assert bench.lines("t") == ["closing"]


def test_unfinished_output_is_seen_while_the_job_runs(bench: LocalBench) -> None:
    bench.executor.start(python("t", "print('loading ...', end='', flush=True); wait_for_the_end()"))
    bench.wait_line("t", "loading ...")


def test_a_killed_packing_is_done_again(bench: LocalBench, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = bench.folder("t").parent.parent / "slow"
    slow.mkdir()
    (slow / "gzip.py").write_text("import time\ntime.sleep(3600)\n")  # the packing hangs in its imports
    monkeypatch.setenv("PYTHONPATH", str(slow))
    bench.executor.start(python("t", "(ml / 'model/net').write_text('n')", packs=True))
    bench.wait("t", Phase.PACKING)
    launcher = launcher_of(bench, "t")
    until(lambda: b"packing" in Path(f"/proc/{launcher}/cmdline").read_bytes())
    monkeypatch.delenv("PYTHONPATH")
    os.kill(launcher, signal.SIGKILL)
    assert bench.wait("t", *OVER).model_archive == bench.folder("t") / "model.tar.gz"


def test_a_packing_that_a_power_cut_ended_is_done_by_the_next_server(bench: LocalBench) -> None:
    found = bench.run("(ml / 'model/net').write_text('n')", packs=True)
    assert found.model_archive is not None
    found.model_archive.unlink()
    (bench.folder("t") / records.PACKED).unlink()
    bench.reopen()
    assert bench.wait("t", *OVER).model_archive == found.model_archive
    assert found.model_archive.exists()


def test_a_launcher_that_cannot_start_ends_the_task_with_its_last_word(
    bench: LocalBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "select.py").write_text("raise ImportError('no select here')\n")
    (broken / "json.py").write_text("raise ImportError('no json here')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    found = bench.run("pass")
    assert (found.phase, found.exit_code) == (Phase.ENDED, None)
    assert found.failure.startswith("the launcher of the job could not start: ImportError: no ")


def test_a_task_that_was_accepted_before_the_server_died_is_started_by_the_next(bench: LocalBench) -> None:
    bench.executor.close()
    task = python("t", "print('ran')")
    bench.folder("t").mkdir()
    records.write(bench.folder("t"), records.TASK, launching.task_record(task))  # and then the power went
    bench.reopen()
    assert bench.wait("t", *OVER).exit_code == 0
    assert bench.lines("t") == ["ran"]


def test_out_of_memory_the_job_is_the_first_to_go(bench: LocalBench) -> None:
    bench.run("print(Path('/proc/self/oom_score_adj').read_text())")
    assert bench.lines("t")[0] == "500"


def test_processes_that_hide_from_their_group_end_with_the_launcher(bench: LocalBench) -> None:
    daemon = "import os, time; os.setsid(); os.fork() and os._exit(0); print(os.getpid(), flush=True); time.sleep(3600)"
    bench.executor.start(python("t", f"subprocess.Popen([sys.executable, '-c', {daemon!r}]); wait_for_the_end()"))
    pid = int(until(lambda: bench.lines("t"))[0])
    bench.kill_launcher("t")
    assert bench.wait("t", *OVER).phase is Phase.LOST
    until(lambda: gone(pid))


def test_a_failure_file_that_is_a_pipe_does_not_hold_the_launcher(bench: LocalBench) -> None:
    seen = bench.run("os.mkfifo(os.path.join(os.environ['SM_OUTPUT_DIR'], 'failure')); sys.exit(3)")
    assert (seen.exit_code, seen.failure) == (3, "")


def test_a_home_that_was_removed_ends_its_launchers(bench: LocalBench) -> None:
    bench.executor.start(python("t", WAIT))
    bench.wait_line("t", "running")
    launcher = launcher_of(bench, "t")
    shutil.rmtree(bench.folder("t"))
    os.kill(launcher, signal.SIGTERM)
    until(lambda: gone(launcher))
