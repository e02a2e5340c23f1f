"""The mean of the gradients over several hosts, on its way while backward still computes the rest of them.

Gradients travel in buckets: one leaves when all of it is there and those before it have left, so that every host sends
the same in the same order. What comes back is the mean, to the bit the same on all hosts.
Knows tensors, and no network.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from darkroom.algorithm.failures import PeerError

BUCKET_BYTES = 4 << 20  # small enough to leave early, large enough to be worth a journey


class Bucket:
    """``tensors`` and where they lie in one flat tensor, each in the order of its memory; ``room`` for more numbers."""

    def __init__(self, tensors: Sequence[Tensor], room: int = 0) -> None:
        sizes = [tensor.numel() for tensor in tensors]
        begins = np.cumsum([0, *sizes]).tolist()
        self.tensors, self.missing = list(tensors), len(tensors)
        self.flat = torch.zeros(begins[-1] + room, device=tensors[0].device if tensors else None)
        self.views = [
            self.flat.as_strided(tensor.size(), tensor.stride(), begin)
            for tensor, begin in zip(tensors, begins, strict=False)
        ]


class Buckets:
    """The ``weights`` whose gradients are averaged, in the order of the network, and ``others`` that are with them.

    ``nccl``: what lies on a GPU travels from there.
    """

    def __init__(self, weights: Sequence[Tensor], others: Sequence[Tensor], nccl: bool) -> None:
        self._nccl, self._weight = nccl, 0.0
        self._buckets = [Bucket(part) for part in _parts(weights[::-1])]  # backward begins at the end
        self._last = Bucket(others, room=1)
        self._left: list[tuple[Any, Tensor, Tensor]] = []  # what to wait for, its numbers, and where they belong
        for bucket in self._buckets:
            for weight, view in zip(bucket.tensors, bucket.views, strict=True):
                weight.register_post_accumulate_grad_hook(partial(self._came, bucket, view))

    def begin(self, weight: float) -> None:
        self._weight, self._left = weight, []
        for bucket in self._buckets:
            bucket.missing = len(bucket.tensors)

    def end(self) -> bool:
        for bucket in self._buckets[len(self._left) :]:
            for weight, view in zip(bucket.tensors, bucket.views, strict=True):
                if weight.grad is None:
                    weight.grad = view.zero_()
            bucket.missing = 0
        self._send()
        last = self._last
        for view, other in zip(last.views, last.tensors, strict=True):
            view.copy_(other)
        last.flat.mul_(self._weight)[-1] = self._weight
        self._leave(last.flat)
        self._return()
        total = float(last.flat[-1])
        if total:
            for bucket in (*self._buckets, last):
                bucket.flat.div_(total)
            for other, view in zip(last.tensors, last.views, strict=True):
                other.copy_(view)
        return total > 0

    def _came(self, bucket: Bucket, view: Tensor, weight: Tensor) -> None:
        """In the middle of backward: the gradient of one more weight is whole."""
        assert weight.grad is not None
        torch.mul(weight.grad, self._weight, out=view)
        weight.grad = view
        bucket.missing -= 1
        self._send()

    def _send(self) -> None:
        while len(self._left) < len(self._buckets) and not self._buckets[len(self._left)].missing:
            self._leave(self._buckets[len(self._left)].flat)

    def _leave(self, flat: Tensor) -> None:
        travels = flat.cpu() if flat.is_cuda and not self._nccl else flat
        with among_hosts():
            self._left.append((dist.all_reduce(travels, async_op=True), travels, flat))

    def _return(self) -> None:
        for work, travels, flat in self._left:
            with among_hosts():
                work.wait()
            if travels is not flat:
                flat.copy_(travels)


def _parts(weights: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """In their order, so many at a time that they fill a bucket."""
    part, size = list[Tensor](), 0
    for weight in weights:
        part.append(weight)
        size += weight.numel() * weight.element_size()
        if size >= BUCKET_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


@contextmanager
def among_hosts() -> Iterator[None]:
    """What fails here fails because another host is gone. Raises PeerError."""
    try:
        yield
    except RuntimeError as error:
        raise PeerError(_reason(str(error))) from error


def _reason(text: str) -> str:
    """The one sentence of torch's that says what happened, without the place in its source."""
    return re.sub(r"^\[\S+:\d+\] ", "", text.partition("\n")[0]).partition(". This ")[0]
