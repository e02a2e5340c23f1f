"""What the parts in C promise alike: the same bits whatever the number of threads, and threads of a child's own."""

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def by_threads(compute: Callable[[], Sequence[Tensor | None]]) -> list[list[Tensor]]:
    """What it computes with one thread, with several numbers of them, and with one again."""
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7, 1):
            torch.set_num_threads(threads)
            found.append([_there(tensor).detach().clone() for tensor in compute()])
    finally:
        torch.set_num_threads(before)
    return found


def all_equal(found: Sequence[Sequence[Tensor]]) -> bool:
    """Bit for bit."""
    return all(torch.equal(one, other) for others in found[1:] for one, other in zip(found[0], others, strict=True))


def near(found: Tensor | None, expected: Tensor | None, rounding: float) -> bool:
    """``rounding``: of the largest of what is expected, which may be of double precision."""
    found, expected = _there(found).detach().double(), _there(expected).detach()
    return float((found - expected).abs().max()) < rounding * float(expected.abs().max())


def exit_code_of_child(compute: Callable[[], object]) -> int:
    """Of a forked process that computes what its parent has computed."""
    compute()
    child = os.fork()
    if child == 0:
        compute()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _there(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
