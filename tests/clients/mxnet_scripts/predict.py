"""FOLDER EPOCH: probabilities of images.npy by the checkpoint, into probabilities.npy; the checkpoint as MXNet saves it
goes to again-0001.params and again-symbol.json."""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder, epoch = Path(sys.argv[1]), int(sys.argv[2])
symbol, arguments, auxiliaries = mx.model.load_checkpoint(str(folder / "image-classification"), epoch)
images = np.load(folder / "images.npy")
module = mx.mod.Module(symbol, label_names=["softmax_label"])
module.bind(for_training=False, data_shapes=[("data", images.shape)], label_shapes=None)
module.set_params(arguments, auxiliaries)
np.save(folder / "probabilities.npy", module.predict(mx.io.NDArrayIter(images, batch_size=len(images))).asnumpy())
module.save_checkpoint(str(folder / "again"), 1)
