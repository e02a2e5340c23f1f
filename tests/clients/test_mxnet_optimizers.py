"""The optimizers and the learning rates of MXNet 1.9.1 and ours: the same weights after the same gradients."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.algorithm import optimizers, schedule
from darkroom.algorithm.hyperparameters import parse

pytestmark = pytest.mark.clients

STEPS, BATCH, SAMPLES = 24, 8, 48  # four epochs of six updates
# what a job asks for → what MXNet's own training script makes of it
CASES = [
    ({"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01}, {"momentum": 0.9, "wd": 0.01}),
    ({"optimizer": "sgd", "momentum": 0, "weight_decay": 0.1}, {"momentum": 0.0, "wd": 0.1}),
    (
        {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0, "lr_scheduler_step": "1,3"},
        {"momentum": 0.5, "wd": 0.0},
    ),
    # without decay or drops, where 1.3 and 1.9 agree: docs/decisions/0522
    ({"optimizer": "nag", "momentum": 0.9, "weight_decay": 0}, {"momentum": 0.9, "wd": 0.0}),
    ({"optimizer": "nag", "momentum": 0.3, "weight_decay": 0}, {"momentum": 0.3, "wd": 0.0}),
    ({"optimizer": "adam", "learning_rate": 0.01}, {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    (
        {
            "optimizer": "adam",
            "learning_rate": 0.02,
            "beta_1": 0.5,
            "beta_2": 0.9,
            "eps": 0.1,
            "lr_scheduler_step": "2",
        },
        {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1},
    ),
    ({"optimizer": "rmsprop", "learning_rate": 0.01}, {"gamma1": 0.9, "epsilon": 1e-8}),
    (
        {"optimizer": "rmsprop", "learning_rate": 0.02, "gamma": 0.5, "eps": 0.01, "lr_scheduler_step": "1,2,3"},
        {"gamma1": 0.5, "epsilon": 0.01},
    ),
]


def values_of(given):
    return parse({name: str(value) for name, value in ({"num_classes": 2, "lr_scheduler_factor": 0.3} | given).items()})


class Weights(nn.Module):
    """One of each kind, by MXNet's names: they say which decay."""

    def __init__(self, start):
        super().__init__()
        self.conv, self.bn = nn.Module(), nn.Module()
        self.conv.weight, self.conv.bias = (nn.Parameter(torch.from_numpy(start[f"conv_{n}"])) for n in NAMES[:2])
        self.bn.weight, self.bn.bias = (nn.Parameter(torch.from_numpy(start[f"bn_{n}"])) for n in ("gamma", "beta"))

    def by_name(self):
        return {
            "conv_weight": self.conv.weight,
            "conv_bias": self.conv.bias,
            "bn_gamma": self.bn.weight,
            "bn_beta": self.bn.bias,
        }


NAMES = ("weight", "bias")


@pytest.fixture
def start():
    draws = np.random.default_rng(1)
    shapes = {"conv_weight": (5, 3, 3, 3), "conv_bias": (5,), "bn_gamma": (7,), "bn_beta": (7,)}
    return {name: draws.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def gradients(start):
    draws = np.random.default_rng(2)
    # of many sizes, as those of a network are
    return [
        {
            name: draws.normal(scale=10.0 ** draws.integers(-3, 2), size=w.shape).astype("f4")
            for name, w in start.items()
        }
        for _ in range(STEPS)
    ]


def ours(given, start, gradients):
    """Weights by name after each step."""
    values, module = values_of(given), Weights({name: array.copy() for name, array in start.items()})
    optimizer = optimizers.build(module, values)
    for step, batch in enumerate(gradients):
        optimizer.set_learning_rate(schedule.learning_rate(values, SAMPLES // BATCH, step + 1))
        for name, weight in module.by_name().items():
            weight.grad = torch.from_numpy(batch[name]) / BATCH
        optimizer.step()
        yield {name: weight.detach().numpy().copy() for name, weight in module.by_name().items()}


def test_the_same_gradients_give_the_same_weights(mxnet, tmp_path, start, gradients):
    cases = []
    for given, options in CASES:
        values = values_of(given)
        steps = [epoch * (SAMPLES // BATCH) for epoch in values.lr_steps]
        drops = {"step": steps, "factor": values.lr_scheduler_factor, "base_lr": values.learning_rate}
        rate = {"learning_rate": values.learning_rate}
        schedule_of = drops if steps else None
        cases.append({"name": values.optimizer, "options": options | rate, "schedule": schedule_of, "batch": BATCH})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    np.savez(tmp_path / "start.npz", **start)
    flat = {f"{step}/{name}": array for step, batch in enumerate(gradients) for name, array in batch.items()}
    np.savez(tmp_path / "gradients.npz", **flat)
    mxnet("optimise")
    theirs = np.load(tmp_path / "weights.npz")
    for number, (given, _) in enumerate(CASES):
        for step, weights in enumerate(ours(given, start, gradients)):
            for name, array in weights.items():
                expected = theirs[f"{number}/{step}/{name}"]
                np.testing.assert_allclose(array, expected, rtol=2e-5, atol=2e-6, err_msg=f"{given} {step} {name}")
