"""How many threads a network is worth: counts against the sum done by hand."""

import pytest
import torch
from torch import nn

from darkroom.networks import resnet, threads


def test_operations_of_an_image():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    assert threads.flop(network, (3, 8, 8)) == 2 * (8 * 8 * 4 * 3 * 9 + 4 * 5)


def test_counting_leaves_no_trace():
    network = resnet.build(20, 3, (3, 28, 28))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    threads.flop(network, (3, 28, 28))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("shape", "batch_size", "most", "expected"),
    [((3, 28, 28), 16, 8, 1), ((3, 28, 28), 128, 8, 4), ((3, 28, 28), 512, 2, 2)],
)
def test_small_work_stays_on_one_thread(shape, batch_size, most, expected):
    assert threads.worthwhile(resnet.build(20, 3, shape), shape, batch_size, most) == expected
