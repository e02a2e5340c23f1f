"""FOLDER: MXNet's optimizers on the weights of start.npz; cases.json is a list of {name, options, schedule, batch}.

``schedule`` has the words of a MultiFactorScheduler, or is null. The gradient of a step, summed over a batch, is in
gradients.npz as STEP/WEIGHT; the weights after each step of each case go to weights.npz as CASE/STEP/WEIGHT."""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder = Path(sys.argv[1])
start, gradients = np.load(folder / "start.npz"), np.load(folder / "gradients.npz")
names = list(start)
steps = len(gradients.files) // len(names)
saved = {}
for number, case in enumerate(json.loads((folder / "cases.json").read_text())):
    options = dict(case["options"])
    if case["schedule"]:
        options["lr_scheduler"] = mx.lr_scheduler.MultiFactorScheduler(**case["schedule"])
    optimizer = mx.optimizer.create(
        case["name"], param_idx2name=dict(enumerate(names)), rescale_grad=1 / case["batch"], **options
    )
    update = mx.optimizer.get_updater(optimizer)
    weights = [mx.nd.array(start[name]) for name in names]
    for step in range(steps):
        for index, name in enumerate(names):
            update(index, mx.nd.array(gradients[f"{step}/{name}"]), weights[index])
            saved[f"{number}/{step}/{name}"] = weights[index].asnumpy()
np.savez(folder / "weights.npz", **saved)
