"""Batch normalisation and the ReLU after it, in one go where that is faster: training on a CPU in float32 or bfloat16.

All of it waits for memory, and torch's two layers go through the numbers almost twice as often as
``native/batch_norm.c``. That is used where it was built; elsewhere (GPUs, float16, evaluation, other layouts) torch's
layers do the same.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from darkroom.networks.native import done, library

MAX_CHANNELS = 8192


def normalised_relu(norm: nn.BatchNorm2d, x: Tensor, limit: float | None = None) -> Tensor:
    """relu(norm(x)) of (N, C, H, W), or with ``limit`` 6 relu6; ``norm`` is as if it had been called."""
    if _suits(norm, x):
        return _run(norm, x, 0.0, math.inf if limit is None else limit)
    y = norm(x)
    return functional.relu(y, inplace=True) if limit is None else functional.hardtanh(y, 0.0, limit, inplace=True)


def normalised_relu_beside(norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """relu(norm(x)), and x for what goes past it: their gradients are added up on the way."""
    if _suits(norm, x) and x.requires_grad:
        answer: tuple[Tensor, Tensor] = _run(norm, x, 0.0, math.inf, beside=True)
        return answer
    return normalised_relu(norm, x), x


def normalised(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """norm(x) of (N, C, H, W)."""
    if _suits(norm, x):
        return _run(norm, x, -math.inf, math.inf)
    answer: Tensor = norm(x)
    return answer


def is_native() -> bool:
    """Whether batch_norm.c was built."""
    return library() is not None


def suits(norm: nn.BatchNorm2d) -> bool:
    """Whether what it does to a tensor that ``fits`` is done in C."""
    return (
        norm.training
        and norm.num_features <= MAX_CHANNELS
        and norm.affine
        and norm.weight.dtype is torch.float32
        and norm.track_running_stats
        and norm.momentum is not None
        and library() is not None
    )


def fits(x: Tensor) -> bool:
    """Whether the parts in C take (N, C, H, W) as it lies."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.dim() == 4
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.numel() > x.shape[1]  # one value a channel has no variance: torch says so
    )


def _suits(norm: nn.BatchNorm2d, x: Tensor) -> bool:
    return suits(norm) and fits(x)


def _run(norm: nn.BatchNorm2d, x: Tensor, low: float, high: float, *, beside: bool = False) -> Any:
    running = norm.running_mean, norm.running_var
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    return _Normalised.apply(x, norm.weight, norm.bias, running, norm.momentum, norm.eps, (low, high), beside)


class _Normalised(torch.autograd.Function):
    """clamp(batch_norm(x), low, high)"""

    @staticmethod
    def forward(
        context: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running: Any,
        momentum: float,
        eps: float,
        bounds: tuple[float, float],
        beside: bool,
    ) -> Any:
        channels = x.shape[1]
        y = torch.empty_like(x)
        moments = torch.empty(2, channels, dtype=torch.float64)  # mean and variance of the batch
        mean, variance = moments.data_ptr(), moments.data_ptr() + 8 * channels
        moved = [tensor.data_ptr() for tensor in running]
        given = (weight.data_ptr(), bias.data_ptr(), eps, *bounds, mean, variance, *moved, momentum)
        done(
            library().darkroom_normalise(
                x.data_ptr(), y.data_ptr(), _halves(x), x.numel() // channels, channels, *given, _threads()
            )
        )
        context.save_for_backward(x, weight, bias, moments)
        context.eps, context.bounds = eps, bounds
        context.set_materialize_grads(False)
        return (y, x) if beside else y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: Any, gradient: Tensor | None, past: Tensor | None = None) -> Any:
        x, weight, bias, moments = context.saved_tensors
        if gradient is None:
            return past, *[None] * 7
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        past = None if past is None else past.contiguous(memory_format=torch.channels_last)
        channels = x.shape[1]
        dx, dweight, dbias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)
        mean, variance = moments.data_ptr(), moments.data_ptr() + 8 * channels
        sizes = _halves(x), x.numel() // channels, channels
        given = (weight.data_ptr(), bias.data_ptr(), context.eps, *context.bounds, mean, variance)
        made = (dweight.data_ptr(), dbias.data_ptr(), _threads())
        tensors = gradient.data_ptr(), x.data_ptr(), None if past is None else past.data_ptr(), dx.data_ptr()
        done(library().darkroom_normalise_back(*tensors, *sizes, *given, *made))
        return dx, dweight, dbias, *[None] * 5


def _halves(x: Tensor) -> bool:
    return x.dtype is torch.bfloat16


def _threads() -> int:
    return torch.get_num_threads()
