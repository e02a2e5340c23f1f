"""One host of several, for tests: ``python -m tests.algorithm.peers RANK COUNT BATCH`` trains a network without
statistics on numbers that every host can make, and prints what it saw."""

import json
import logging
import os
import sys

import numpy as np
import torch
from torch import nn

from darkroom.algorithm import averaging, distributed, resuming
from darkroom.algorithm.hosts import Hosts, merged
from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.learner import Learner

STEPS, CLASSES = 6, 3
averaging.BUCKET_BYTES = 800  # several, of a network as small as this


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, CLASSES))


def train(hosts: Hosts, batch: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Losses by step, and the weights at the end. The last batch of host 1 is shorter, and one of host 0 is empty."""
    values = parse({"num_classes": str(CLASSES), "optimizer": "nag", "weight_decay": "0.01"})
    learner = Learner(network(seed), values, torch.device("cpu"), hosts=hosts)
    resuming.agree(learner, hosts)
    draws, losses = np.random.default_rng(1), []
    for step in range(STEPS):
        images = draws.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
        labels = draws.integers(0, CLASSES, 12)
        part = slice(hosts.rank * batch, (hosts.rank + 1) * batch)
        if step == 3:  # two pictures that could not be read
            part = [slice(0, 6), slice(6, 10)][hosts.rank] if hosts.count == 2 else slice(0, 10)
        if step == 4:
            part = [slice(0, 0), slice(0, 6)][hosts.rank] if hosts.count == 2 else slice(0, 6)
        before = learner.losses[0]
        learner.update(images[part], labels[part], 0.0001)
        losses.append(learner.losses[0] - before)
    return losses, [float(x) for weight in learner.network.parameters() for x in weight.detach().flatten()]


def main() -> None:
    rank, count, batch = map(int, sys.argv[1:])
    names = [f"algo-{number}" for number in range(1, count + 1)]
    hosts = distributed.join(names, names[rank], os.environ, 0, logging.getLogger("peers"))
    told = {
        "everyone": hosts.everyone({"rank": rank, "name": "é" * rank}),
        "any": [list(hosts.any(rank == 1, False)), list(hosts.any(False, True))],
        "total": hosts.total(np.array([1.0, rank])).tolist(),
        "merged": merged(np.array([5.0 if rank else np.nan, np.nan if rank else 7.0, np.nan]), hosts).tolist(),
        "trained": train(hosts, batch, seed=rank),
    }
    hosts.part()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
