"""What goes wrong in one process of several of a host is told where a user looks: the job's log, its failure file."""

import logging
import os
import re
import signal

import pytest

from darkroom.algorithm.gathering import processes
from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.recovery import check
from darkroom.contract import exits
from tests.algorithm.family import companions, disturbed, gone
from tests.algorithm.test_piped import PIPE, feed, rec

TWO = {"DARKROOM_PROCESSES": "2"}
FIND = "from darkroom.algorithm import averaging, distributed, learner\n"
WITHOUT_MEMORY = """
def update(*_):
    raise MemoryError("Unable to allocate 2.00 GiB")
learner.Learner.update = update
"""
WITHOUT_DEVICE = """
def beside(*_):
    raise ValueError("no such device")
distributed.beside = beside
"""
FOR_EVER = """
import threading
from darkroom.algorithm import companions
companions.GRACE_S = 0.1
averaging.Buckets._return = lambda self: print("waiting", flush=True) or threading.Event().wait()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "exit_code", "reason"),
    [
        (FIND + WITHOUT_MEMORY, exits.CLIENT_ERROR, r"ClientError: Out of memory\. .* \(MemoryError: .*"),
        (FIND + WITHOUT_DEVICE, exits.ALGORITHM_ERROR, r"AlgorithmError: ValueError: no such device \(.*"),
        ("import os; os._exit(7)", exits.ALGORITHM_ERROR, "AlgorithmError: Process 2 of 2 ended with exit code 7"),
    ],
    ids=["in a batch", "before they met", "at once"],
)
def test_why_a_companion_could_not_go_on_is_why_the_job_could_not(job, tmp_path, code, exit_code, reason):
    job.settings().colours(train=32, validation=0)
    ended, messages = job.over(**TWO, **disturbed(tmp_path / "site", True, code))
    assert ended == exit_code, messages
    whose = "" if "Process" in reason else r" \(process 2 of 2\)"
    assert re.fullmatch(reason + whose, job.failure)
    assert len([text for text in messages if "Error: " in text and "process 2 of 2" in text.lower()]) == 1


@pytest.mark.slow
def test_a_process_that_waits_for_ever_for_one_that_is_gone_ends(job, tmp_path):
    """As GPUs do, which nobody tells."""
    job.settings().colours(train=32, validation=0)
    with job.start(**TWO, **disturbed(tmp_path / "site", False, FIND + FOR_EVER)) as process:
        for line in process.stdout:
            if line == "waiting\n":
                (other,) = companions(process.pid)
                os.kill(other, signal.SIGKILL)
                break
        rest = process.stdout.read()
    assert process.returncode == -signal.SIGKILL, rest
    assert "Algorithm Error: Process 2 of 2 was ended by signal 9 (Killed)." in rest
    assert gone([other])


@pytest.mark.slow
def test_faults_that_all_have_are_told_once(job):
    job.settings().records("train", [0] * 20, [b"no picture"] * 20)
    code, messages = job.over(**TWO)
    assert code == exits.CLIENT_ERROR
    assert len([text for text in messages if "Customer Error: 20 of the 20 images" in text]) == 1
    assert "process" not in job.failure


@pytest.mark.slow
def test_images_that_become_unreadable_are_named_whoever_meets_them(job):
    job.settings(epochs=6, mini_batch_size=8, augmentation_type="crop").folders("train", {"a": 16, "b": 16, "c": 16})
    lost = [f"a/{k}.jpg" for k in range(12)]
    with job.start(**TWO) as process:
        for line in process.stdout:
            if "Epoch[0] Train-accuracy" in line:
                break
        for name in lost:
            (job.channel("train") / name).unlink()
        rest = process.stdout.read()
    assert process.returncode == exits.OK, rest
    named = re.findall(r"WARNING \d+\] Left out of its batch: (\S+):", rest)
    assert set(named) == set(lost)
    assert 4 * len(lost) <= len(named) <= 5 * len(lost)  # in epochs 2 to 5, and in as much of 1 as was to come


@pytest.mark.slow
def test_a_pipe_is_read_by_one_of_them_for_all(job, tmp_path):
    content = rec(job, tmp_path, [k % 3 for k in range(48)])
    job.settings().config("inputdataconfig", {"train": PIPE, "validation": PIPE})
    feed(job, "train", content)
    feed(job, "validation", content)
    code, messages = job.over(**TWO)
    assert code == exits.OK, messages
    assert messages.count("Read 48 images from the train channel.") == 1
    assert "num_training_samples: 48" in messages
    assert any("Validation-accuracy" in text for text in messages)


@pytest.mark.slow
def test_a_checkpoint_of_another_number_of_processes_is_refused(job, run):
    job.settings().colours(train=32, validation=3)
    assert run(DARKROOM_CHECKPOINTS="1")[0] == exits.OK
    assert job.over(**TWO)[0] == exits.CLIENT_ERROR
    assert "is of another job: DARKROOM_PROCESSES is 2, there 1. Give this job" in job.failure


def test_a_checkpoint_from_before_there_were_several_processes_is_of_one():
    check({"DARKROOM_PROCESSES": 1}, {}, "old")


@pytest.mark.parametrize(
    ("gpus", "given", "batch", "expected"),
    [(0, "", 32, 1), (1, "", 32, 1), (4, "", 32, 4), (4, "1", 32, 1), (2, "3", 32, 3), (8, "", 9, 4), (4, "", 1, 1)],
)
def test_a_process_for_each_gpu_while_each_has_images_to_normalise(gpus, given, batch, expected, caplog):
    values = parse({"num_classes": "2", "mini_batch_size": str(batch)})
    environ = {"DARKROOM_PROCESSES": given} if given else {}
    log = logging.getLogger("nobody")
    caplog.set_level(logging.INFO)
    assert processes(values, environ, gpus, log) == expected
    fewer = f"Training with {expected} process(es) rather than {gpus}: of a mini_batch_size of {batch} each is to have"
    assert (fewer in caplog.text) == (batch < 10)


def test_the_number_of_processes_is_a_number(job, run):
    job.settings().colours(train=16, validation=0)
    assert run(DARKROOM_PROCESSES="0")[0] == exits.CLIENT_ERROR
    assert "DARKROOM_PROCESSES must be a whole number, 1 or more, not '0'" in job.failure


def test_of_several_hosts_each_is_one_process(job, run):
    job.settings().colours(train=16).config("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]})
    messages = run(**TWO)[1]  # which ends for want of a place to meet
    assert "Each of the 2 hosts is one process, which uses one GPU at most." in messages
