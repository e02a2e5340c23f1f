from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.testing.executor_contract import ExecutorContract
from tests.executors.bench import LocalBench, namespace_refused


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
