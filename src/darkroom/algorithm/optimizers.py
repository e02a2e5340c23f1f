"""MXNet's update rules for torch parameters (mxnet 1.3: python/mxnet/optimizer.py, src/operator/optimizer_op-inl.h).

They differ from torch's own in small ways that move the curves: the learning rate is inside the momentum, Adam's eps is
outside its bias correction, RMSProp's eps is under the root, and biases and betas do not decay. Gradients come averaged
over the batch (MXNet: rescale_grad = 1 / batch). It knows no schedule: ``set_learning_rate`` is told the rate.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.networks.momentum import descend

Tensors = list[Tensor]
States = list[dict[str, Tensor]]  # what is remembered of each weight
Update = Callable[[Tensors, Tensors, States, float, float, int], None]  # …, learning rate, decay, count


class MXNetOptimizer(torch.optim.Optimizer):
    """A torch optimizer whose every group holds ``lr``, ``weight_decay`` and one of the rules below as ``update``."""

    def __init__(self, groups: Iterable[dict[str, Any]], update: Update, memory: Iterable[str]) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.update, self.count = update, 0
        for weight in (weight for group in self.param_groups for weight in group["params"]):
            zeros = {name: torch.zeros_like(weight, memory_format=torch.preserve_format) for name in memory}
            self.state[weight] = zeros

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        self.count += 1
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            states = [self.state[weight] for weight in weights]
            self.update(weights, gradients, states, group["lr"], group["weight_decay"], self.count)

    def set_learning_rate(self, lr: float) -> None:
        for group in self.param_groups:
            group["lr"] = lr


def build(network: nn.Module, values: Hyperparameters) -> MXNetOptimizer:
    """The optimizer that the hyperparameters name. Weights and gammas decay; biases and betas do not."""
    decay = values.weight_decay if values.applies("weight_decay") else 0.0
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for name, weight in named if not name.endswith("bias")], "weight_decay": decay},
        {"params": [weight for name, weight in named if name.endswith("bias")], "weight_decay": 0.0},
    ]
    rule = RULES[values.optimizer](values)
    return MXNetOptimizer([group for group in groups if group["params"]], rule, MEMORY[values.optimizer])


def _memory(states: States, name: str) -> Tensors:
    """One kept tensor of each weight."""
    return [state[name] for state in states]


def _decayed(gradients: Tensors, weights: Tensors, decay: float) -> Tensors:
    return list(torch._foreach_add(gradients, weights, alpha=decay)) if decay else gradients


def sgd(values: Hyperparameters) -> Update:
    """m = momentum·m - lr·g;  w = w + m."""

    def update(weights: Tensors, gradients: Tensors, states: States, lr: float, decay: float, count: int) -> None:
        moments = _memory(states, "momentum")
        descend(weights, gradients, moments, momentum=values.momentum, rate=lr, decay=decay)

    return update


def nag(values: Hyperparameters) -> Update:
    """m = momentum·m + g;  w = w - lr·(g + momentum·m)."""

    def update(weights: Tensors, gradients: Tensors, states: States, lr: float, decay: float, count: int) -> None:
        gradients = _decayed(gradients, weights, decay)
        moments = _memory(states, "momentum")
        torch._foreach_mul_(moments, values.momentum)
        torch._foreach_add_(moments, gradients)
        ahead = torch._foreach_add(gradients, moments, alpha=values.momentum)
        torch._foreach_add_(weights, ahead, alpha=-lr)

    return update


def adam(values: Hyperparameters) -> Update:
    """m, v: moving averages of g and g²;  w = w - lr·√(1-β₂ᵗ)/(1-β₁ᵗ)·m / (√v + eps)."""

    def update(weights: Tensors, gradients: Tensors, states: States, lr: float, decay: float, count: int) -> None:
        gradients = _decayed(gradients, weights, decay)
        means, squares = _memory(states, "mean"), _memory(states, "square")
        torch._foreach_lerp_(means, gradients, 1 - values.beta_1)
        torch._foreach_mul_(squares, values.beta_2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - values.beta_2)
        bias_1, bias_2 = 1 - values.beta_1**count, 1 - values.beta_2**count
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, values.eps)
        # β = 1 never forgets and never learns: MXNet divides by zero there
        rate = lr * bias_2**0.5 / bias_1 if bias_1 else 0.0
        torch._foreach_addcdiv_(weights, means, roots, value=-rate)

    return update


def rmsprop(values: Hyperparameters) -> Update:
    """n = gamma·n + (1-gamma)·g²;  w = w - lr·g / √(n + eps)  (not centred: Tieleman & Hinton's form)."""

    def update(weights: Tensors, gradients: Tensors, states: States, lr: float, decay: float, count: int) -> None:
        gradients = _decayed(gradients, weights, decay)
        squares = _memory(states, "square")
        torch._foreach_mul_(squares, values.gamma)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - values.gamma)
        roots = torch._foreach_add(squares, values.eps)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(weights, gradients, roots, value=-lr)

    return update


# What each rule remembers of every weight: zeros at first, of the weight's own shape.
MEMORY = {"sgd": ("momentum",), "nag": ("momentum",), "adam": ("mean", "square"), "rmsprop": ("square",)}
RULES: dict[str, Callable[[Hyperparameters], Update]] = {"sgd": sgd, "nag": nag, "adam": adam, "rmsprop": rmsprop}
