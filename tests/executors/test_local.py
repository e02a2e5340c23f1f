import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.executors import local, probes
from darkroom.executors.base import Observation, Phase
from darkroom.executors.leftovers import marked
from darkroom.testing.checkpoint_contract import CheckpointContract
from darkroom.testing.executor_bench import DEADLINE_S, OVER, SERVE, WAIT, python
from darkroom.testing.executor_contract import ExecutorContract
from tests.executors.bench import LocalBench, namespace_refused

pytestmark = pytest.mark.slow


class TestFolder(ExecutorContract, CheckpointContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LocalBench]:
        bench = LocalBench(tmp_path, "folder")
        yield bench
        bench.close()


class TestNamespace(ExecutorContract, CheckpointContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LocalBench]:
        refused = namespace_refused()
        if refused:
            pytest.skip(f"no mount namespace on this machine: {refused}")
        bench = LocalBench(tmp_path, "namespace")
        yield bench
        bench.close()


def test_a_stopped_server_dismisses_its_workers_and_leaves_its_jobs(tmp_path: Path) -> None:
    bench = LocalBench(tmp_path, "folder")
    bench.executor.start(python("worker", SERVE, serves=True))
    bench.executor.start(python("job", WAIT))
    bench.wait_ready("worker")
    bench.wait_line("job", "running")
    bench.executor.dismiss_workers(DEADLINE_S)
    assert bench.wait("worker", *OVER).exit_code == -15
    assert bench.executor.observe("job").phase is Phase.RUNNING
    bench.executor.stop("job", 0)
    bench.wait("job", *OVER)
    bench.close()


def test_a_task_that_is_forgotten_as_it_is_stopped_needs_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = LocalBench(tmp_path, "folder")
    bench.executor.start(python("t", WAIT))
    bench.wait_line("t", "running")
    look = bench.executor._look

    def look_and_lose(task_id: str) -> tuple[bool, Observation]:
        found = look(task_id)
        bench.folder(task_id).rename(tmp_path / "lost")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(bench.executor, "_look", look_and_lose)
        bench.executor.stop("t", 0)
    (tmp_path / "lost").rename(bench.folder("t"))
    assert bench.executor.observe("t").phase is Phase.RUNNING
    bench.close()


def test_a_worker_that_hangs_is_ended_so_that_another_can_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "HEALTH_EVERY_S", 0.01)
    bench = LocalBench(tmp_path, "folder")
    bench.executor.start(python("worker", SERVE, serves=True))
    bench.wait_ready("worker")
    for pid in marked(str(bench.folder("worker"))):
        os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(local, "SILENT_S", 0.05)  # not before: on a busy machine a worker may be slow to answer
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.05)
    assert bench.wait("worker", *OVER).exit_code == -signal.SIGKILL
    bench.close()
