"""How many processor threads a network is worth, in training and in serving.

A small network is done with a layer sooner than threads have met at its end: one thread is then faster than two
(training ResNet-20 on 16 images of 28 pixels: 307 against 275 images/s), and far faster where the machine has other
work (284 against 22).
Knows arithmetic, and not what the batch is for.
"""

import torch
from torch import nn

FLOP_PER_THREAD = 2e9  # of one forward pass of a batch, before another thread pays


def worthwhile(network: nn.Module, image_shape: tuple[int, int, int], batch_size: int, most: int) -> int:
    """Threads, 1 … ``most``, that the network keeps busy with such batches."""
    return max(1, min(most, round(flop(network, image_shape) * batch_size / FLOP_PER_THREAD)))


@torch.inference_mode()
def flop(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Floating point operations of convolutions and linear layers for one image, counted on the way of one."""
    counts: list[int] = []

    def count(layer: nn.Module, inputs: object, output: torch.Tensor) -> None:
        counts.append(2 * output.numel() * layer.weight[0].numel())

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    network.eval()(torch.zeros(1, *image_shape))
    for hook in hooks:
        hook.remove()
    return sum(counts)
