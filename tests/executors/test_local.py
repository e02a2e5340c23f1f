import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.testing.executor_contract import ExecutorContract
from tests.executors.bench import LocalBench


def namespace_refused() -> str | None:
    """Why this machine allows no mount namespace, tried in a process of its own."""
    pid = os.fork()
    if pid == 0:
        from darkroom.executors import isolation, kernel

        try:
            os.makedirs(isolation.OPT_ML, exist_ok=True)
            kernel.enter_own_mounts()
            kernel.bind("/tmp", isolation.OPT_ML)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return os.strerror(code) if code else None


class TestFolder(ExecutorContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LocalBench]:
        bench = LocalBench(tmp_path, "folder")
        yield bench
        bench.close()


class TestNamespace(ExecutorContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LocalBench]:
        refused = namespace_refused()
        if refused:
            pytest.skip(f"no mount namespace on this machine: {refused}")
        bench = LocalBench(tmp_path, "namespace")
        yield bench
        bench.close()
