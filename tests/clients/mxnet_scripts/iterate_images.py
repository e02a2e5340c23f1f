"""FOLDER LABEL_WIDTH: read a.rec with MXNet's training iterator; write images.npy (N, 3, 8, 8), labels.npy."""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder, label_width = Path(sys.argv[1]), int(sys.argv[2])
batches = mx.io.ImageRecordIter(
    path_imgrec=str(folder / "a.rec"), data_shape=(3, 8, 8), batch_size=1, label_width=label_width, preprocess_threads=1
)
read = [(batch.data[0].asnumpy(), batch.label[0].asnumpy().reshape(1, -1)) for batch in batches]
np.save(folder / "images.npy", np.concatenate([image for image, _ in read]))
np.save(folder / "labels.npy", np.concatenate([label for _, label in read]))
