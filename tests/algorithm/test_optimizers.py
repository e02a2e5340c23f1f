"""Each update rule against its formula in numpy, over several steps, in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.algorithm import optimizers
from darkroom.algorithm.hyperparameters import parse

LR = (0.1, 0.1, 0.02)  # the last step after a drop: there MXNet's momentum differs from torch's


def sgd(w, grads, h):
    m = np.zeros_like(w)
    for lr, g in zip(LR, grads, strict=True):
        m = h.momentum * m - lr * (g + h.weight_decay * w)
        w = w + m
    return w


def nag(w, grads, h):
    m = np.zeros_like(w)
    for lr, g in zip(LR, grads, strict=True):
        g = g + h.weight_decay * w
        m = h.momentum * m + g
        w = w - lr * (g + h.momentum * m)
    return w


def adam(w, grads, h):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (lr, g) in enumerate(zip(LR, grads, strict=True), start=1):
        m = h.beta_1 * m + (1 - h.beta_1) * g
        v = h.beta_2 * v + (1 - h.beta_2) * g * g
        w = w - lr * np.sqrt(1 - h.beta_2**t) / (1 - h.beta_1**t) * m / (np.sqrt(v) + h.eps)
    return w


def rmsprop(w, grads, h):
    n = np.zeros_like(w)
    for lr, g in zip(LR, grads, strict=True):
        n = h.gamma * n + (1 - h.gamma) * g * g
        w = w - lr * g / np.sqrt(n + h.eps)
    return w


@pytest.mark.parametrize("rule", [sgd, nag, adam, rmsprop])
def test_rule_follows_its_formula(rule):
    values = parse(
        {"num_classes": "2", "optimizer": rule.__name__, "weight_decay": "0.3", "momentum": "0.7", "eps": "0.01"}
    )
    draws = np.random.default_rng(5)
    layer = nn.Linear(4, 3, dtype=torch.float64)
    start, grads = layer.weight.detach().numpy().copy(), [draws.normal(size=(3, 4)) for _ in LR]
    optimizer = optimizers.build(layer, values)
    for lr, grad in zip(LR, grads, strict=True):
        optimizer.set_learning_rate(lr)
        layer.weight.grad = torch.from_numpy(grad)
        optimizer.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), rule(start, grads, values), rtol=1e-12)


def test_biases_do_not_decay():
    layer = nn.Linear(2, 2)
    values = parse({"num_classes": "2", "weight_decay": "0.5"})
    optimizer = optimizers.build(layer, values)
    optimizer.set_learning_rate(1.0)
    before = layer.bias.detach().clone(), layer.weight.detach().clone()
    layer.bias.grad, layer.weight.grad = torch.zeros(2), torch.zeros(2, 2)
    optimizer.step()
    assert torch.equal(layer.bias, before[0])
    torch.testing.assert_close(layer.weight, before[1] * 0.5)


def test_gammas_decay_and_fixed_ones_stay():
    norm, fixed = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    fixed.weight.requires_grad_(False)
    optimizer = optimizers.build(nn.Sequential(norm, fixed), parse({"num_classes": "2", "weight_decay": "0.5"}))
    optimizer.set_learning_rate(1.0)
    norm.weight.grad = torch.zeros(2)
    optimizer.step()
    assert norm.weight.tolist() == [0.5, 0.5]
    assert fixed.weight.tolist() == [1.0, 1.0]
