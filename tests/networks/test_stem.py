"""The stem in one against torch's layers in double precision: answers and gradients, on every kind of processor."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks import native
from darkroom.networks import stem as stems
from darkroom.networks.stem import stem
from tests.networks import sameness
from tests.networks.sameness import all_equal, by_threads

Layers = tuple[nn.BatchNorm2d, nn.Conv2d, nn.BatchNorm2d]
SHAPES = [  # images, colours, outputs, height, width
    (2, 3, 64, 64, 64),
    (3, 1, 32, 33, 40),
    (1, 4, 48, 35, 34),
    (2, 3, 16, 40, 3),
    (5, 3, 16, 41, 1),
    (9, 2, 80, 2, 7),
]
ROUNDING = 1e-4  # of the largest number
near = partial(sameness.near, rounding=ROUNDING)

needs_native = pytest.mark.skipif(native.lanes() == 0, reason="stem.c was not built, or not for this processor")


@pytest.fixture(params=[count for count in (16, 8) if count <= native.lanes()])
def lanes(request: Any, monkeypatch: Any) -> None:
    """AVX-512's registers of 16 numbers and AVX2's of 8, as far as this processor has them."""
    monkeypatch.setattr(stems, "lanes", lambda: request.param)


def layers(colours: int, outputs: int) -> Layers:
    first, norm = nn.BatchNorm2d(colours, eps=2e-5), nn.BatchNorm2d(outputs, eps=2e-5)
    first.weight.requires_grad_(False)
    with torch.no_grad():
        first.bias.normal_()
        norm.weight.normal_()
        norm.weight[3] = 0.0
        norm.bias.normal_()
    conv = nn.Conv2d(colours, outputs, 7, stride=2, padding=3, bias=False)
    return first, conv.to(memory_format=torch.channels_last), norm


def photos(images: int, colours: int, height: int, width: int) -> Tensor:
    return (torch.rand(images, colours, height, width) * 255).contiguous(memory_format=torch.channels_last)


def one_by_one(first: nn.BatchNorm2d, conv: nn.Conv2d, norm: nn.BatchNorm2d, images: Tensor) -> Tensor:
    return functional.max_pool2d(functional.relu(norm(conv(first(images)))), 3, stride=2, padding=1)


def twins(given: Layers) -> Layers:
    """Of double precision."""
    exact = layers(given[1].in_channels, given[1].out_channels)
    for layer, twin in zip(given, exact, strict=True):
        twin.double().load_state_dict(layer.state_dict())
    return exact


def gradients(of: Layers) -> list[Tensor | None]:
    return [of[0].bias.grad, of[1].weight.grad, of[2].weight.grad, of[2].bias.grad]


@needs_native
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_what_torch_computes(shape: tuple[int, ...], lanes: None, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    images, colours, outputs, height, width = shape
    ours = layers(colours, outputs)
    exact = twins(ours)
    for layer in ours:
        monkeypatch.setattr(layer, "forward", None)  # nothing may fall back unseen
    x = photos(images, colours, height, width)
    y, w = stem(*ours, x), one_by_one(*exact, x.double())
    gradient = torch.randn_like(y)
    y.backward(gradient)
    w.backward(gradient.double())
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert near(y, w)
    assert all(map(near, gradients(ours), gradients(exact)))
    for layer, twin in zip(ours[::2], exact[::2], strict=True):
        assert near(layer.running_mean, twin.running_mean)
        assert near(layer.running_var, twin.running_var)
        assert layer.num_batches_tracked == 1


@needs_native
def test_the_number_of_threads_changes_no_bit(lanes: None) -> None:
    torch.manual_seed(0)
    given, x = layers(3, 48), photos(16, 3, 50, 40)
    gradient = torch.randn(stem(*given, x).shape)

    def compute() -> list[Tensor | None]:
        for layer in given:
            layer.zero_grad()
        y = stem(*given, x)
        y.backward(gradient)
        return [y, *gradients(given)]

    assert all_equal(by_threads(compute))


@needs_native
def test_what_is_no_number_is_told_on(lanes: None) -> None:
    given, x = layers(3, 16), photos(2, 3, 40, 40)
    with torch.no_grad():
        given[1].weight[5, 0, 3, 3] = math.nan
    y = stem(*given, x)
    assert y[:, 5].isnan().all()
    assert y[:, :5].isfinite().all()


CHANGES = {
    "evaluation": lambda given, x: (*(layer.eval() for layer in given), x),
    "double": lambda given, x: (*(layer.double() for layer in given), x.double()),
    "contiguous": lambda given, x: (*given, x.contiguous()),
    "odd channels": lambda given, x: (*layers(3, 24), x),
    "few numbers": lambda given, x: (*given, x[:2, :, :2, :2]),
    "gradient wanted": lambda given, x: (*given, x.clone().requires_grad_()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_else_is_left_to_torch(change: Any, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    *given, x = change(layers(3, 16), photos(4, 3, 40, 36))
    expected = one_by_one(*given, x)
    monkeypatch.setattr(stems._Stem, "apply", None)
    torch.testing.assert_close(stem(*given, x), expected, atol=1e-4, rtol=1e-4)


def test_in_sixteen_bits_it_is_torchs_convolution(monkeypatch: Any) -> None:
    torch.manual_seed(0)
    given, x = layers(3, 16), photos(4, 3, 40, 36)
    expected = one_by_one(*given, x)
    monkeypatch.setattr(stems._Stem, "apply", None)
    with torch.autocast("cpu", torch.bfloat16):
        y = stem(*given, x)
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), expected, atol=0.05, rtol=0.02)


def test_without_a_gradient_it_is_torchs() -> None:
    torch.manual_seed(0)
    given, x = layers(3, 16), photos(4, 3, 40, 36)
    with torch.no_grad():
        torch.testing.assert_close(stem(*given, x), one_by_one(*given, x), atol=1e-4, rtol=1e-4)
