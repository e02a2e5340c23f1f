"""Jobs in a temporary folder, and the algorithm run inside the test's own process."""

import re
import signal
from collections.abc import Callable, Iterator

import pytest
import torch

from darkroom.algorithm.entry import main
from tests.algorithm.jobs import Job


@pytest.fixture
def job(tmp_path) -> Job:
    return Job(tmp_path / "ml")


@pytest.fixture
def run(job, capfd, monkeypatch) -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """Run the job here; gives the exit code and the log's messages, ``LEVEL message`` where the level is not INFO."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # main sets it for good where nobody did
    before, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()

    def run(**environ: str) -> tuple[int, list[str]]:
        code = main(["train"], job.environ | environ)
        messages = re.sub(r"(?m)^\[\S+ \S+ (INFO|WARNING|ERROR) \d+\] ", r"\1 ", capfd.readouterr().out)
        return code, [line.removeprefix("INFO ") for line in messages.splitlines()]

    yield run
    signal.signal(signal.SIGTERM, before)
    torch.set_num_threads(threads)
