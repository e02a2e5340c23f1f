"""Jobs of several hosts, in real processes that meet on this machine: one training, whatever happens to one of them."""

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from darkroom.algorithm import distributed, snapshots
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE
from darkroom.contract import exits
from darkroom.networks import artifact
from tests.algorithm import peers
from tests.algorithm.jobs import Host, ended, gang, jpeg, meeting

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PREFIX = re.compile(r"(?m)^\[\S+ \S+ (INFO|WARNING|ERROR) \d+\] ")
SHARDED = {"train": {"S3DistributionType": "ShardedByS3Key"}, "validation": {"S3DistributionType": "FullyReplicated"}}


def told(processes):
    """Exit codes and messages of all hosts."""
    codes, outputs = ended(processes)
    return codes, [[PREFIX.sub("", line) for line in output.splitlines()] for output in outputs]


def together(jobs, **environ):
    with meeting() as place:
        return told([job.start(**place, **environ) for job in jobs])


def curve(messages, word):
    return [float(text.rpartition("=")[2]) for text in messages if word in text]


def model(job):
    return {path.name: path.read_bytes() for path in (job.base / "model").iterdir()}


def test_gradients_of_two_hosts_are_those_of_one_with_twice_the_batch():
    command = [sys.executable, "-m", "tests.algorithm.peers"]
    with meeting() as place:
        environ = os.environ | place | {"OMP_NUM_THREADS": "1"}
        codes, outputs = ended([
            Host([*command, str(rank), "2", "6"], env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for rank in range(2)
        ])  # fmt: skip
    assert codes == [0, 0], outputs
    first, second = map(json.loads, outputs)
    assert first["everyone"] == second["everyone"] == [{"rank": 0, "name": ""}, {"rank": 1, "name": "é"}]
    assert first["any"] == second["any"] == [[True, False], [False, True]]
    assert first["total"] == second["total"] == [2.0, 1.0]
    assert first["merged"][:2] == second["merged"][:2] == [5.0, 7.0]
    assert np.isnan([first["merged"][2], second["merged"][2]]).all()

    losses, weights = peers.train(ALONE, 12)
    assert first["trained"][1] == second["trained"][1]  # bit for bit, though they began with different numbers
    np.testing.assert_allclose(first["trained"][1], weights, rtol=2e-4, atol=1e-7)
    sizes = np.array([[6, 6], [6, 6], [6, 6], [6, 4], [0, 6], [6, 6]])
    both = (np.array([first["trained"][0], second["trained"][0]]).T * sizes).sum(1) / sizes.sum(1)
    np.testing.assert_allclose(both, losses, rtol=1e-4)


def photos(job, rank, **given):
    """A job that cannot be learnt at once; its last validation batch is a short one."""
    images = [jpeg(k % 3 if k % 4 else (k + 1) % 3, k) for k in range(97)]
    job.settings(**{"epochs": 3, "mini_batch_size": 16, "learning_rate": 0.02} | given)
    job.records("train", [k % 3 for k in range(97)], images)
    job.records("validation", [k % 3 for k in range(37)], [jpeg(k % 3, 500 + k) for k in range(37)])


def epochs(job):
    """Rows of the report, as the checkpoint of the job's end has them."""
    return snapshots.read(snapshots.found(job.base / "checkpoints")[0]).progress["epochs"]


CHECKPOINTS = {"DARKROOM_CHECKPOINTS": "1", "DARKROOM_CHECKPOINT_SECONDS": "0", "DARKROOM_SPEEDOMETER": "1"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two hosts that nothing disturbs."""
    jobs = gang(tmp_path_factory.mktemp("gang"), 2, photos)
    codes, messages = together(jobs, **CHECKPOINTS)
    assert codes == [exits.OK] * 2, messages
    return jobs, messages


def test_each_host_tells_of_itself_and_the_first_one_saves(whole):
    jobs, messages = whole
    first, second = messages
    assert any(text.startswith("Host algo-2, number 2 of 2, meets the others at 127.0.0.1:") for text in second)
    assert all("kv_store: dist_sync" in texts for texts in messages)
    assert len(curve(second, "Train-accuracy")) == 3
    assert curve(first, "Train-accuracy") != curve(second, "Train-accuracy")
    assert curve(first, "Validation-accuracy") == curve(second, "Validation-accuracy")
    counts = [accuracy * 37 for accuracy in curve(first, "Validation-accuracy")]
    assert counts == pytest.approx(np.round(counts), abs=1e-4)
    assert any("Saved checkpoint" in text for text in first)
    assert not any("Saved checkpoint" in text for text in second)
    served = [text for text in first if text.startswith("Validation accuracy through the serving code")]
    assert float(served[0].split()[-1]) == pytest.approx(max(curve(first, "Validation-accuracy")), abs=1e-6)
    assert (jobs[0].base / "model").is_dir()
    assert not (jobs[1].base / "model").exists()
    assert not list((jobs[1].base / "checkpoints").glob("*"))


def test_two_hosts_learn_as_one_with_twice_the_batch(whole, job, run):
    """Not to the last digit: each host normalises its own batch."""
    photos(job, 0, mini_batch_size=32)
    assert run(**CHECKPOINTS)[0] == exits.OK
    ours, theirs = epochs(whole[0][0]), epochs(job)
    assert [row["learning_rate"] for row in ours] == [row["learning_rate"] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], abs=0.15)
    assert ours[-1]["train_loss"] < ours[0]["train_loss"] - 0.2


def test_a_host_that_is_killed_ends_the_other_and_both_go_on_from_the_checkpoint(whole, tmp_path):
    jobs = gang(tmp_path, 2, photos)
    with meeting() as place, jobs[0].start(**place, **CHECKPOINTS) as first:
        with jobs[1].start(**place, **CHECKPOINTS) as second:
            for line in second.stdout:
                if "Epoch[1] Batch [1]" in line:
                    second.kill()
                    break
        (code,), (texts,) = told([first])
    assert code == exits.ALGORITHM_ERROR
    assert any(text.startswith("Algorithm Error: Another host of this job has ended or cannot be") for text in texts)
    assert jobs[0].failure.startswith("AlgorithmError: Another host of this job has ended")
    for job in jobs:
        shutil.rmtree(job.base / "model", ignore_errors=True)
    codes, messages = together(jobs, **CHECKPOINTS)
    assert codes == [exits.OK] * 2, messages
    assert all(any(text.startswith("Resuming from the checkpoint") for text in texts) for texts in messages)
    assert model(jobs[0]) == model(whole[0][0])
    for again, before in zip(messages, whole[1], strict=True):
        assert curve(again, "Train-accuracy")[-1] == curve(before, "Train-accuracy")[-1]


def test_a_request_to_stop_reaches_all_hosts_at_the_same_step(tmp_path):
    jobs = gang(tmp_path, 2, lambda job, rank: photos(job, rank, epochs=1000))
    seen = []
    with (
        meeting() as place,
        jobs[0].start(**place, **CHECKPOINTS) as first,
        jobs[1].start(**place, **CHECKPOINTS) as second,
    ):
        for line in second.stdout:
            seen.append(PREFIX.sub("", line.rstrip()))
            if "Epoch[0] Batch [1]" in line:
                second.send_signal(signal.SIGTERM)  # to one of them only
                break
        codes, (ours, rest) = told([first, second])
    assert codes == [exits.STOPPED] * 2, ours
    assert any(name.endswith(".params") for name in jobs[0].model)
    last = [[text for text in texts if text.startswith("Epoch[")][-1].split("\t")[0] for texts in (ours, seen + rest)]
    assert last[0] == last[1]
    assert len(snapshots.found(jobs[0].base / "checkpoints")) > 0


def test_hosts_with_images_of_their_own_take_the_same_number_of_batches(tmp_path):
    def fill(job, rank):
        job.settings(epochs=2, mini_batch_size=8)
        job.folders("train", [{"ape": 20, "bee": 13}, {"bee": 12, "cat": 12}][rank], start=100 * rank)
        job.folders("validation", {"ape": 3, "bee": 3, "cat": 3}, start=500)
        job.config("inputdataconfig", SHARDED)

    jobs = gang(tmp_path, 2, fill)
    codes, messages = together(jobs, DARKROOM_SPEEDOMETER="1")
    assert codes == [exits.OK] * 2, messages
    for texts in messages:
        assert "num_training_samples: 57" in texts
        batches = [re.match(r"Epoch\[0\] Batch \[(\d)\]", text) for text in texts]
        assert [int(match[1]) for match in batches if match] == [1, 2]  # of 24 images, the fewer of 33 and 24
    assert curve(messages[0], "Validation-accuracy") == curve(messages[1], "Validation-accuracy")
    assert artifact.load(jobs[0].base / "model").classes == ("ape", "bee", "cat")


def test_a_host_that_waits_for_the_others_stops_at_once_when_asked(tmp_path):
    jobs = gang(tmp_path, 2, photos)
    with meeting() as place, jobs[1].start(**place) as process:
        rest = process.stop_at("meets the others at")
    assert process.returncode == exits.STOPPED, rest


def test_hosts_whose_place_another_program_has_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "TAKEN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(other.getsockname()[1])}
        with pytest.raises(CustomerError) as fault:
            distributed.join(["algo-1", "algo-2"], "algo-1", place, 0, logging.getLogger("nobody"))
    assert re.fullmatch(
        r"The hosts of this job cannot meet at 127\.0\.0\.1:\d+ \(Address already in use\): set MASTER_PORT to a port "
        r"that no other program has\.",
        str(fault.value),
    )


def test_nobody_from_elsewhere_reaches_the_place_of_hosts_on_one_machine(tmp_path):
    jobs = gang(tmp_path, 2, photos)
    with meeting() as place, jobs[0].start(**place) as process:
        port = int(place["MASTER_PORT"])
        listening = f"0100007F:{port:04X} 00000000:0000 0A"
        while process.poll() is None and listening not in Path("/proc/net/tcp").read_text():
            time.sleep(0.01)
        assert process.poll() is None
        assert f":{port:04X} {'0' * 32}:0000 0A" not in Path("/proc/net/tcp6").read_text()
        process.send_signal(signal.SIGTERM)
