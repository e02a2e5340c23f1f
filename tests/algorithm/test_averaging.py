"""Gradients on their way to other hosts, here of one host only: when they leave, in which order, and what comes back.
What several hosts make of them is held in ``test_distributed``."""

import pytest
import torch
from torch import distributed as dist
from torch import nn

from darkroom.algorithm import averaging
from darkroom.algorithm.averaging import Buckets
from darkroom.algorithm.failures import PeerError


@pytest.fixture
def sent(monkeypatch):
    """The numbers of every bucket that has left, in a group of one host."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr(averaging, "BUCKET_BYTES", 400)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    sizes, reduce = [], dist.all_reduce

    def counted(tensor, *args, **given):
        sizes.append(tensor.numel())
        return reduce(tensor, *args, **given)

    monkeypatch.setattr(dist, "all_reduce", counted)
    yield sizes
    dist.destroy_process_group()


def layers():
    """Of 110, 110 and 33 numbers; whatever comes last is the first that backward is done with."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(10, 3))


def gradients(network):
    return [None if weight.grad is None else weight.grad.clone() for weight in network.parameters()]


IMAGES = torch.arange(50.0).reshape(5, 10) / 50


def test_what_is_ready_leaves_before_backward_is_over(sent):
    network = layers()
    buckets = Buckets(list(network.parameters()), [], nccl=False)
    seen = []
    network[0].weight.register_post_accumulate_grad_hook(lambda weight: seen.append(list(sent)))
    buckets.begin(5)
    network(IMAGES).sum().backward()
    assert seen == [[143, 110]]  # 3 + 30 + 10 + 100 of the last two layers, then what of the first one's comes last
    assert buckets.end()
    assert sent == [143, 110, 1]


def test_one_host_has_its_own_gradients_again(sent):
    plain, averaged = layers(), layers()
    plain(IMAGES).sum().backward()
    others = [torch.tensor([3.0, 7.0])]
    buckets = Buckets(list(averaged.parameters()), others, nccl=False)
    for weight in (4, 1, 8):  # powers of two round nothing
        averaged.zero_grad(set_to_none=True)
        buckets.begin(weight)
        averaged(IMAGES).sum().backward()
        assert buckets.end()
        for given, expected in zip(gradients(averaged), gradients(plain), strict=True):
            assert torch.equal(given, expected)
        assert others[0].tolist() == [3.0, 7.0]


def test_gradients_that_never_come_are_zeros_and_the_order_is_the_same(sent):
    network = layers()
    buckets = Buckets(list(network.parameters()), [], nccl=False)
    buckets.begin(2)
    network[2](IMAGES).sum().backward()  # the first two layers were not needed
    assert sent == []
    assert buckets.end()
    assert sent == [143, 110, 1]
    assert [bool(gradient.any()) for gradient in gradients(network)] == [False] * 4 + [True] * 2
    network.zero_grad(set_to_none=True)
    buckets.begin(0)  # an empty batch: no backward at all
    assert not buckets.end()
    assert sent == [143, 110, 1] * 2
    assert not any(bool(gradient.any()) for gradient in gradients(network))


def test_gradients_lie_in_memory_as_their_weights_do(sent):
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    buckets = Buckets(list(network.parameters()), [], nccl=False)
    buckets.begin(1)
    network(torch.ones(1, 3, 5, 5)).sum().backward()
    assert buckets.end()
    assert [weight.grad.stride() for weight in network.parameters()] == [w.stride() for w in network.parameters()]


def test_a_host_that_is_gone_is_noticed_in_backward(sent, monkeypatch):
    def gone(*_, **__):
        raise RuntimeError("[somewhere.cc:1] Connection closed by peer [127.0.0.1]:1. This may be\nmore")

    network = layers()
    buckets = Buckets(list(network.parameters()), [], nccl=False)
    monkeypatch.setattr(dist, "all_reduce", gone)
    buckets.begin(1)
    with pytest.raises(PeerError, match=r"^Connection closed by peer \[127\.0\.0\.1\]:1$"):
        network(IMAGES).sum().backward()
