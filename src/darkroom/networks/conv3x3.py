"""Convolutions by 3x3 filters with a quarter of the multiplications: training on a CPU in float32.

Most of a residual network's work. ``native/conv3x3.c`` does it where it was built and where the processor has AVX2 or
AVX-512; elsewhere (GPUs, 16-bit types, evaluation, other shapes and layouts) torch's own layer does the same. The
answers differ from torch's by rounding: about one part in 10^5 of the largest number.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from darkroom.networks.native import done, library

CHANNELS = 16  # a multiple of so many
MIN_CHANNELS = 32  # below, the transforms cost what the multiplications save
MIN_TILES = 32  # of 4x4 pixels: below, the filters' transforms do
MAX_NUMBERS = 2**31  # of a tensor


def convolved(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv(x)`` of (N, C, H, W)."""
    if not _suits(conv, x):
        answer: Tensor = conv(x)
        return answer
    answer = _Conv3x3.apply(x, conv.weight)
    return answer


def is_native() -> bool:
    """Whether conv3x3.c was built and this processor can run it."""
    return _lanes() > 0


@functools.cache
def _lanes() -> int:
    native = library()
    return 0 if native is None else int(native.darkroom_conv3x3_lanes())


def _suits(conv: nn.Conv2d, x: Tensor) -> bool:
    return (
        conv.training
        and conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.bias is None
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype is conv.weight.dtype is torch.float32
        and not torch.is_autocast_enabled("cpu")
        and x.is_contiguous(memory_format=torch.channels_last)
        and _is_worth_it(conv, x)
        and is_native()
    )


def _is_worth_it(conv: nn.Conv2d, x: Tensor) -> bool:
    channels = conv.in_channels, conv.out_channels
    images, _, height, width = x.shape
    tiles = images * -(-height // 4) * -(-width // 4)
    return (
        all(count % CHANNELS == 0 for count in channels)
        and min(channels) >= MIN_CHANNELS
        and tiles >= MIN_TILES
        and images * height * width * max(channels) < MAX_NUMBERS
    )


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(x, weight)
        return _convolve(x, weight, weight.stride(), 0, weight.shape[0])

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: Any, gradient: Tensor) -> Any:
        x, weight = context.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        dx = dw = None
        if context.needs_input_grad[0]:  # by the same filters turned by half a circle, inputs and outputs exchanged
            outputs, inputs, rows, columns = weight.stride()
            last = 2 * (rows + columns)
            dx = _convolve(gradient, weight, (inputs, outputs, -rows, -columns), last, weight.shape[1])
        if context.needs_input_grad[1]:
            dw = _filters(x, gradient, weight)
        return dx, dw


def _convolve(x: Tensor, weight: Tensor, strides: tuple[int, ...], offset: int, outputs: int) -> Tensor:
    images, inputs, height, width = x.shape
    y = torch.empty(images, outputs, height, width, dtype=torch.float32, memory_format=torch.channels_last)
    filters = weight.data_ptr() + offset * weight.element_size()
    shape = images, height, width, inputs, outputs
    done(library().darkroom_conv3x3(x.data_ptr(), filters, *strides, y.data_ptr(), *shape, *_how()))
    return y


def _filters(x: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    images, inputs, height, width = x.shape
    dw = torch.empty_like(weight, memory_format=torch.channels_last)
    shape = images, height, width, inputs, weight.shape[0]
    tensors = x.data_ptr(), gradient.data_ptr(), dw.data_ptr()
    done(library().darkroom_conv3x3_filters(*tensors, *shape, *_how()))
    return dw


def _how() -> tuple[int, int]:
    return _lanes(), torch.get_num_threads()
