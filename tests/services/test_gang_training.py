"""The built-in algorithm on two hosts through boto3: one of them is killed, and both go on from the checkpoint."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import NotFound
from darkroom.executors.leftovers import marked
from tests.control.platform import BUCKET, channel, training_request
from tests.services.running import with_colours
from tests.services.test_sagemaker import Live, until

pytestmark = pytest.mark.slow

HYPERPARAMETERS = {"num_classes": 3, "num_layers": 20, "image_shape": "3,28,28", "mini_batch_size": 8, "epochs": 3}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with with_colours(tmp_path, jobs=2) as live:
        yield live


def test_a_training_goes_on_when_one_of_its_hosts_was_killed(live: Live) -> None:
    live.sagemaker.create_training_job(
        **training_request(
            "gang",
            AlgorithmSpecification={"TrainingImage": "image-classification:1", "TrainingInputMode": "File"},
            InputDataConfig=[channel(name, f"s3://{BUCKET}/photos/{name}/") for name in ("train", "validation")],
            ResourceConfig={"InstanceCount": 2, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 1},
            HyperParameters={name: str(value) for name, value in HYPERPARAMETERS.items()},
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
            Environment={"DARKROOM_CHECKPOINT_SECONDS": "0", "DARKROOM_SPEEDOMETER": "1"},
        )
    )
    until(lambda: told(live, "algo-2"), lambda lines: any("Epoch[1] Batch [1]" in line for line in lines))
    (task,) = [task for task in live.platform.executor.tasks() if "-h2-" in task]
    for pid in marked(str(live.platform.settings.home / "tasks" / task)):
        os.kill(pid, signal.SIGKILL)
    job = live.ended("gang")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for host in ("algo-1", "algo-2"):
        lines = told(live, host)
        assert sum("Resuming from the checkpoint darkroom-checkpoint-" in line for line in lines) == 1
        epochs = [match[1] for line in lines if (match := re.search(r"Epoch\[(\d)\] Validation-accuracy", line))]
        assert epochs == ["0", "1", "2"]  # what the checkpoint holds is not done again


def told(live: Live, host: str) -> list[str]:
    group = "/aws/sagemaker/TrainingJobs"
    try:
        streams, _ = live.platform.logs.streams(group, prefix=f"gang/{host}-")
    except NotFound:  # no line was written yet
        return []
    pages = [live.platform.logs.events(group, stream.name, from_head=True) for stream in streams]
    return [event.message for page in pages for event in page.events]
