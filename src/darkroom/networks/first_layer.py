"""Normalising the images and the first convolution, with a short way back: the one parameter before the convolution is
a shift of each channel, whose gradient is a sum over the image. The image's own gradient, a tenth of a training step,
is never computed. Same numbers as the two layers one after the other, up to rounding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks.batch_norm import normalised


def normalised_conv(norm: nn.BatchNorm2d, conv: nn.Conv2d, images: Tensor) -> Tensor:
    """``conv(norm(images))`` for images (N, C, H, W) that need no gradient and a norm whose weight is not learnt."""
    if not (norm.training and torch.is_grad_enabled()) or images.requires_grad or norm.weight.requires_grad:
        return conv(norm(images))
    with torch.no_grad():
        x = normalised(norm, images)
    weight, kind = conv.weight, images.device.type
    if torch.is_autocast_enabled(kind):
        half = torch.get_autocast_dtype(kind)
        x, weight = x.to(half), weight.to(half)
    answer: Tensor = _ShiftedConv.apply(x, norm.bias, weight, conv.stride, conv.padding)
    return answer


class _ShiftedConv(torch.autograd.Function):
    """conv(x) where x already holds the shift (C,); gives gradients to the shift and the weight."""

    @staticmethod
    def forward(context: Any, x: Tensor, shift: Tensor, weight: Tensor, stride: Any, padding: Any) -> Tensor:
        context.save_for_backward(x, weight)
        context.stride, context.padding = list(stride), list(padding)
        return functional.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        x, weight = context.saved_tensors
        # the way back is linear: that of the batch's sum is the sum of the images' ways
        total = _sum_of_images(gradient)
        shift = _backward(total, x[:1].float(), weight.float(), context, (True, False))[0].sum((0, 2, 3))
        return None, shift, _backward(gradient, x, weight, context, (False, True))[1], None, None


def _sum_of_images(x: Tensor) -> Tensor:
    """(1, C, H, W) float32, added up in the order in which the numbers lie: torch's own sum over the first of four axes
    takes thirty times as long on a CPU where the channels lie together."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    rows = x.permute(0, 2, 3, 1) if last else x
    total = rows.flatten(1).sum(0, dtype=torch.float32).view(1, *rows.shape[1:])
    return total.permute(0, 3, 1, 2) if last else total


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, context: Any, wanted: tuple[bool, bool]) -> tuple[Any, ...]:
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, context.stride, context.padding, [1, 1], False, [0, 0], 1, [*wanted, False]
    )
