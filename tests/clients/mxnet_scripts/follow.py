"""FOLDER EPOCH RATE STEPS…: Module goes on from the checkpoint with the batches of batches.npz, images and labels, in
turn, by SGD as the algorithm has it; after each of the numbers of steps it saves followed-STEP.params."""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder, epoch, rate = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
stops = set(map(int, sys.argv[4:]))
symbol, arguments, auxiliaries = mx.model.load_checkpoint(str(folder / "image-classification"), epoch)
batches = np.load(folder / "batches.npz")
images, labels = batches["images"], batches["labels"]
module = mx.mod.Module(symbol)
module.bind([("data", images.shape[1:])], [("softmax_label", labels.shape[1:])])
module.set_params(arguments, auxiliaries)
module.init_optimizer(optimizer_params={"learning_rate": rate, "momentum": 0.9, "wd": 0.0001})
for step, (pictures, classes) in enumerate(zip(images, labels, strict=True), start=1):
    module.forward_backward(mx.io.DataBatch([mx.nd.array(pictures)], [mx.nd.array(classes)]))
    module.update()
    if step in stops:
        mx.nd.waitall()
        module.save_params(str(folder / f"followed-{step}.params"))
