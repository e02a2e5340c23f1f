"""The stem of the larger residual networks: the images normalised, convolved by 7x7 filters with stride 2, normalised
again, ReLU, and the greatest of 3x3 pixels with stride 2.

Its numbers are the most that there are in a network, and its work is mostly waiting for memory. Training on a CPU in
float32, ``native/stem.c`` does all of it but the convolution forward, and writes next to nothing of what lies between.
Elsewhere torch's layers do the same.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from darkroom.networks.batch_norm import fits, normalised, normalised_relu, suits
from darkroom.networks.first_layer import normalised_conv
from darkroom.networks.native import done, lanes, library

TAPS, STRIDE, EDGE = 7, 2, 3
CHANNELS = 16  # a multiple of so many


def stem(first: nn.BatchNorm2d, conv: nn.Conv2d, norm: nn.BatchNorm2d, images: Tensor) -> Tensor:
    """max_pool2d(relu(norm(conv(first(images)))), 3, stride=2, padding=1) of (N, C, H, W) that need no gradient, where
    the weight of ``first`` is not learnt."""
    if not _suits(first, conv, norm, images):
        return functional.max_pool2d(normalised_relu(norm, normalised_conv(first, conv, images)), 3, STRIDE, padding=1)
    with torch.no_grad():
        x = normalised(first, images)
    running = norm.running_mean, norm.running_var
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    learnt = first.bias, conv.weight, norm.weight, norm.bias
    answer: Tensor = _Stem.apply(x, *learnt, running, norm.momentum, norm.eps)
    return answer


def _suits(first: nn.BatchNorm2d, conv: nn.Conv2d, norm: nn.BatchNorm2d, images: Tensor) -> bool:
    return (
        suits(first)
        and suits(norm)
        and fits(images)
        and images.dtype is torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.is_grad_enabled()
        and not (images.requires_grad or first.weight.requires_grad)
        and (conv.kernel_size, conv.stride, conv.padding) == ((TAPS,) * 2, (STRIDE,) * 2, (EDGE,) * 2)
        and (conv.dilation, conv.groups, conv.bias) == ((1, 1), 1, None)
        and conv.out_channels % CHANNELS == 0
        and conv.weight.dtype is torch.float32
        and len(images) * max(images.shape[2:]) > STRIDE  # several values a channel after the convolution, too
        and lanes() > 0
    )


class _Stem(torch.autograd.Function):
    """Of x, in which the shift (C,) is already; gives gradients to the shift, the filters, and what normalises."""

    @staticmethod
    def forward(
        context: Any,
        x: Tensor,
        shift: Tensor,
        filters: Tensor,
        weight: Tensor,
        bias: Tensor,
        running: Any,
        momentum: float,
        eps: float,
    ) -> Tensor:
        convolved = functional.conv2d(x, filters, None, STRIDE, EDGE).contiguous(memory_format=torch.channels_last)
        images, channels, height, width = convolved.shape
        y = torch.empty(images, channels, -(-height // 2), -(-width // 2), memory_format=torch.channels_last)
        best, winner = torch.empty_like(y), torch.empty_like(y, dtype=torch.uint8)
        moments = torch.empty(2, channels, dtype=torch.float64)  # mean and variance of the batch
        sizes = images, height, width, channels
        given = *_pointers(convolved, y, best, winner), *sizes, *_pointers(weight, bias), eps
        made = *_pointers(moments[0], moments[1], *running), momentum, lanes(), torch.get_num_threads()
        done(library().darkroom_stem_forward(*given, *made))
        context.save_for_backward(x, filters, weight, bias, convolved, best, winner, moments)
        context.eps = eps
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: Any, gradient: Tensor) -> Any:
        x, filters, weight, bias, convolved, best, winner, moments = context.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        images, colours, height, width = x.shape
        channels = convolved.shape[1]
        dfilters, within = torch.empty(TAPS, TAPS, colours, channels), torch.empty(TAPS, TAPS, channels)
        dweight, dbias = torch.empty_like(weight), torch.empty_like(bias)
        sizes = images, height, width, colours, channels
        tensors = _pointers(gradient, convolved, best, winner, x, dfilters, within)
        made = *_pointers(moments[0], moments[1], dweight, dbias), lanes(), torch.get_num_threads()
        done(library().darkroom_stem_backward(*tensors, *sizes, *_pointers(weight, bias), context.eps, *made))
        # what is added to a colour is added wherever a tap of that colour lies within the image
        shift = (filters * within.permute(2, 0, 1).unsqueeze(1)).sum((0, 2, 3))
        return None, shift, dfilters.permute(3, 2, 0, 1), dweight, dbias, *[None] * 3


def _pointers(*tensors: Tensor) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
