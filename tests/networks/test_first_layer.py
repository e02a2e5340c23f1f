"""The first convolution's short way back gives the gradients of the long one."""

import pytest
import torch
from torch import nn

from darkroom.networks import first_layer
from darkroom.networks.first_layer import normalised_conv


def _layers(kernel: int, stride: int) -> tuple[nn.BatchNorm2d, nn.Conv2d]:
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(3).double()
    norm.weight.requires_grad_(False)
    norm.bias.data.normal_()
    return norm, nn.Conv2d(3, 8, kernel, stride=stride, padding=kernel // 2, bias=False).double()


@pytest.mark.parametrize(("kernel", "stride", "side"), [(7, 2, 32), (7, 2, 33), (3, 1, 12)])
def test_gradients_and_moving_averages_are_those_of_the_two_layers(kernel, stride, side):
    images = torch.randn(4, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = []
    for run in (lambda n, c: c(n(images)), lambda n, c: normalised_conv(n, c, images)):
        norm, conv = _layers(kernel, stride)
        y = run(norm, conv)
        (y * torch.arange(y.numel(), dtype=y.dtype).sin().view(y.shape)).sum().backward()
        found.append((y.detach(), norm.bias.grad, conv.weight.grad, norm.running_mean, norm.running_var))
    for long, short in zip(*found, strict=True):
        torch.testing.assert_close(short.double(), long, rtol=1e-5, atol=1e-5)


def test_sixteen_bits_flow_through_and_gradients_are_in_thirty_two():
    norm, conv = (layer.float() for layer in _layers(3, 1))
    with torch.autocast("cpu", torch.bfloat16):
        y = normalised_conv(norm, conv, torch.randn(2, 3, 8, 8))
    assert y.dtype is torch.bfloat16
    y.float().sum().backward()
    assert norm.bias.grad.dtype is conv.weight.grad.dtype is torch.float32


def test_evaluation_takes_the_layers_as_they_are():
    norm, conv = _layers(3, 1)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    norm.eval(), conv.eval()
    assert torch.equal(normalised_conv(norm, conv, images), conv(norm(images)))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_sum_of_the_images_is_in_float32_whatever_their_layout(layout, kind):
    images = (
        torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0)).to(kind).contiguous(memory_format=layout)
    )
    total = first_layer._sum_of_images(images)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, images.sum(0, keepdim=True, dtype=torch.float32))
