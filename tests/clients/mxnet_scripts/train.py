"""FOLDER: train the symbol of the folder for a few steps with MXNet; save it as a checkpoint of epoch 5 in the folder,
with the probabilities that MXNet then gives images.npy in probabilities.npy."""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder = Path(sys.argv[1])
mx.random.seed(1)
np.random.seed(1)
symbol = mx.sym.load(str(folder / "image-classification-symbol.json"))
images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
module = mx.mod.Module(symbol)
initializer = mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
data = mx.io.NDArrayIter(images, labels, batch_size=len(images))
optimizer = {"learning_rate": 0.01, "momentum": 0.9}
module.fit(data, num_epoch=3, optimizer_params=optimizer, initializer=initializer)
module.save_checkpoint(str(folder / "image-classification"), 5)
np.save(folder / "probabilities.npy", module.predict(mx.io.NDArrayIter(images, batch_size=len(images))).asnumpy())
