"""SIGTERM, at once and with patience: what is raised, when, and what of the batch in hand remains."""

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.learner import Learner
from darkroom.algorithm.stopping import Interrupted, Stopped, StopSignal
from darkroom.networks import resnet

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1])


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def forever() -> None:
    while True:
        time.sleep(0.001)


def test_without_patience_it_ends_at_once():
    stop = StopSignal().listen()
    with pytest.raises(Stopped):
        terminate()
    assert stop.asked
    with pytest.raises(Stopped):
        stop.check()


def test_what_is_begun_is_done_before_it_ends():
    stop, done = StopSignal().listen(), []

    def work() -> None:
        with stop.afterwards():
            terminate()
            done.append("all of it")

    with pytest.raises(Stopped):
        work()
    assert done
    assert not stop.patient


def test_with_patience_it_waits_for_the_batch_but_not_for_ever():
    stop = StopSignal(longest_s=0.02).listen()
    stop.patient = True
    terminate()
    assert stop.asked
    with pytest.raises(Interrupted), stop.interruptible():
        forever()


def test_what_may_not_be_broken_off_is_not():
    rung = []

    class Heard(StopSignal):
        def _on_alarm(self, number, frame):
            rung.append(number)
            super()._on_alarm(number, frame)

    stop = Heard(longest_s=0.001).listen()
    stop.patient = True
    terminate()
    while not rung:
        time.sleep(0.001)
    assert rung == [signal.SIGALRM]


def test_an_alarm_that_rang_between_two_batches_breaks_the_next_one_off():
    stop = StopSignal(longest_s=0.001).listen()
    stop.patient = True
    terminate()
    while signal.getitimer(signal.ITIMER_REAL)[0]:
        time.sleep(0.001)
    with pytest.raises(Interrupted), stop.interruptible():
        pytest.fail("went on")


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_batch_that_is_broken_off_leaves_no_trace(way):
    stop = StopSignal(longest_s=0.02).listen()
    stop.patient = True
    values = parse({"num_classes": "2", "num_layers": "20", "image_shape": "3,28,28"})
    network = resnet.build(20, 2, (3, 28, 28), generator=torch.Generator().manual_seed(0))
    learner = Learner(network, values, torch.device("cpu"), guard=stop.interruptible)
    learner.update(IMAGES, LABELS, 0.1)
    before = {name: tensor.clone() for name, tensor in learner.state().items() if "num_batches" not in name}
    losses = learner.losses

    def hang(layer: nn.Module, *_: object) -> None:
        terminate()
        forever()

    last: nn.Module = network.fc1
    handle = last.register_forward_hook(hang) if way == "forward" else last.register_full_backward_hook(hang)
    with pytest.raises(Interrupted):
        learner.update(IMAGES, LABELS, 0.1)
    handle.remove()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in learner.state().items() if "running" in name)
    learner.undo()
    after = learner.state()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert learner.losses == losses
