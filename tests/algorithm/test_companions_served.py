"""A job of several processes through the server and its launcher: one host, one log, started again as a whole."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import NotFound
from darkroom.executors.leftovers import marked
from tests.algorithm.family import COMPANION, gone
from tests.control.platform import BUCKET, channel, training_request
from tests.services.running import with_colours
from tests.services.test_gang_training import HYPERPARAMETERS
from tests.services.test_sagemaker import Live, until

pytestmark = pytest.mark.slow


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with with_colours(tmp_path, jobs=1) as live:
        yield live


def create(live: Live, **given: object) -> None:
    live.sagemaker.create_training_job(
        **training_request(
            "several",
            AlgorithmSpecification={"TrainingImage": "image-classification:1", "TrainingInputMode": "File"},
            InputDataConfig=[channel(name, f"s3://{BUCKET}/photos/{name}/") for name in ("train", "validation")],
            HyperParameters={name: str(value) for name, value in (HYPERPARAMETERS | given).items()},
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
            Environment={
                "DARKROOM_PROCESSES": "2",
                "DARKROOM_CHECKPOINT_SECONDS": "0",
                "DARKROOM_SPEEDOMETER": "1",
            },
        )
    )


def told(live: Live) -> list[str]:
    group = "/aws/sagemaker/TrainingJobs"
    try:
        streams, _ = live.platform.logs.streams(group, prefix="several/")
    except NotFound:  # no line was written yet
        return []
    pages = [live.platform.logs.events(group, stream.name, from_head=True) for stream in streams]
    return [event.message for page in pages for event in page.events]


def companions(live: Live) -> list[int]:
    (task,) = live.platform.executor.tasks()
    pids = marked(str(live.platform.settings.home / "tasks" / task))
    return [pid for pid in pids if COMPANION in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_training_goes_on_when_a_companion_was_killed_and_stops_when_asked(live: Live) -> None:
    create(live, epochs=1000)
    until(lambda: told(live), lambda lines: any("Epoch[1] Batch [1]" in line for line in lines))
    (killed,) = companions(live)
    os.kill(killed, signal.SIGKILL)
    until(lambda: told(live), lambda lines: any("Resuming from the checkpoint" in line for line in lines))
    others = until(lambda: companions(live), lambda pids: pids)
    live.sagemaker.stop_training_job(TrainingJobName="several")
    job = live.ended("several")
    assert job["TrainingJobStatus"] == "Stopped", job.get("FailureReason")
    assert gone(others)
    lines = told(live)
    assert any("Process 2 of 2 was ended by signal 9 (Killed)." in line for line in lines)
    assert sum("kv_store: device" in line for line in lines) == 2  # once each time
    first = [line for line in lines if "Epoch[0] Validation-accuracy" in line]
    assert len(first) == 1  # what the checkpoint holds is not done again
