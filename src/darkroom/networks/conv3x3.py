"""Convolutions by 3x3 filters with a quarter of the multiplications: training on a CPU in float32.

Most of a residual network's work. ``native/conv3x3.c`` does it where it was built and where the processor has AVX2 or
AVX-512; elsewhere (GPUs, 16-bit types, evaluation, other shapes and layouts) torch's own layer does the same. The
answers differ from torch's by rounding: about one part in 10^5 of the largest number.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from darkroom.networks.native import done, lanes, library

CHANNELS = 16  # a multiple of so many
MIN_TILES = 32  # of 4x4 pixels: below, the filters' transforms cost what the multiplications save
MAX_NUMBERS = 2**31  # of a tensor


def convolved(conv: nn.Conv2d, x: Tensor, more: Tensor | None = None) -> Tensor:
    """``conv(x)`` of (N, C, H, W), and ``more`` is added to it."""
    if _suits(conv, x) and (more is None or more.is_contiguous(memory_format=torch.channels_last)):
        answer: Tensor = _Conv3x3.apply(x, conv.weight, more)
        return answer
    answer = conv(x)
    return answer if more is None else answer.add_(more)


def is_native() -> bool:
    """Whether conv3x3.c was built and this processor can run it."""
    return lanes() > 0


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
        and tiles >= MIN_TILES
        and images * height * width * max(channels) < MAX_NUMBERS
    )


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, more: Tensor | None) -> Tensor:
        context.save_for_backward(x, weight)
        return _convolve(x, weight.shape[0], weight.data_ptr(), weight.stride(), more)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: Any, gradient: Tensor) -> Any:
        x, weight = context.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        wanted = context.needs_input_grad
        dx = dw = None
        if wanted[0]:  # by the same filters turned by half a circle, inputs and outputs exchanged
            outputs, inputs, rows, columns = weight.stride()
            last = weight.data_ptr() + 2 * (rows + columns) * weight.element_size()
            dx = _convolve(gradient, x.shape[1], last, (inputs, outputs, -rows, -columns), None)
        if wanted[1]:
            dw = _filters(x, gradient, weight)
        return dx, dw, gradient if wanted[2] else None


def _convolve(x: Tensor, outputs: int, filters: int, strides: tuple[int, ...], more: Tensor | None) -> Tensor:
    """(N, K, H, W) of (N, C, H, W), and more (N, K, H, W) added; ``filters`` is where the first tap lies."""
    images, inputs, height, width = x.shape
    y = torch.empty(images, outputs, height, width, dtype=torch.float32, memory_format=torch.channels_last)
    shape = images, height, width, inputs, outputs
    tensors = None if more is None else more.data_ptr(), y.data_ptr()
    done(library().darkroom_conv3x3(x.data_ptr(), filters, *strides, *tensors, *shape, *_how()))
    return y


def _filters(x: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """(K, C, 3, 3)"""
    images, inputs, height, width = x.shape
    dw = torch.empty_like(weight, memory_format=torch.channels_last)
    shape = images, height, width, inputs, weight.shape[0]
    tensors = x.data_ptr(), gradient.data_ptr(), dw.data_ptr()
    done(library().darkroom_conv3x3_filters(*tensors, *shape, *_how()))
    return dw


def _how() -> tuple[int, int]:
    return lanes(), torch.get_num_threads()
