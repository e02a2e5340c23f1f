"""Descent in C is what the formula says, whatever lies where."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from darkroom.networks import momentum, native
from darkroom.networks.momentum import descend
from tests.networks.sameness import all_equal, by_threads

SHAPES = [(8, 4, 3, 3), (5,), (), (300, 700), (0, 3), (65536,)]
RULE = {"momentum": 0.9, "rate": 0.05, "decay": 0.01}

needs_native = pytest.mark.skipif(native.library() is None, reason="momentum.c was not built")


def drawn(change: Callable[[Tensor], Tensor] = lambda one: one) -> list[Tensor]:
    return [change(torch.randn(shape)) for shape in SHAPES]


def last(one: Tensor) -> Tensor:
    """With its channels side by side, where it has some."""
    return one.contiguous(memory_format=torch.channels_last) if one.dim() == 4 else one


def apart(one: Tensor) -> Tensor:
    """With room between the numbers."""
    return torch.stack([one, one], -1)[..., 0]


LAYOUTS = {
    "as they come": (lambda one: one, lambda one: one, lambda one: one),
    "channels last": (last, last, last),
    "gradients otherwise": (last, lambda one: one, last),
    "memory otherwise": (last, last, lambda one: one),
    "gaps": (apart, apart, apart),
    "double": (Tensor.double, Tensor.double, Tensor.double),
}


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("layouts", LAYOUTS.values(), ids=LAYOUTS)
def test_it_follows_its_formula(layouts, decay):
    torch.manual_seed(0)
    weights, gradients, moments = map(drawn, layouts)
    expected = [
        0.9 * m.double() - 0.05 * (g.double() + decay * w.double())
        for w, g, m in zip(weights, gradients, moments, strict=True)
    ]
    moved = [w.double() + m for w, m in zip(weights, expected, strict=True)]
    given = [one.clone() for one in gradients]
    descend(weights, gradients, moments, **RULE | {"decay": decay})
    for found, known in zip([*moments, *weights, *gradients], [*expected, *moved, *given], strict=True):
        torch.testing.assert_close(found.double(), known.double(), rtol=1e-6, atol=1e-6)


@needs_native
def test_it_is_done_in_c_where_the_numbers_lie_alike(monkeypatch):
    monkeypatch.setattr(torch, "_foreach_add_", None)
    descend(drawn(last), drawn(last), drawn(last), **RULE)


def test_without_the_library_torch_does_it(monkeypatch):
    found = []
    for library in (native.library, lambda: None):
        torch.manual_seed(0)
        weights, gradients, moments = drawn(), drawn(), drawn()
        monkeypatch.setattr(momentum, "library", library)
        descend(weights, gradients, moments, **RULE)
        found.append([*weights, *moments])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@needs_native
def test_the_number_of_threads_changes_no_bit():
    def compute() -> list[Tensor]:
        torch.manual_seed(0)
        weights, moments = drawn(), drawn()
        descend(weights, drawn(), moments, **RULE)
        return [*weights, *moments]

    assert all_equal(by_threads(compute))
