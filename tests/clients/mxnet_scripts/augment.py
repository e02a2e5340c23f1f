"""FOLDER NAME SIDE {OPTIONS}: what ImageRecordIter makes of NAME.rec with these options, at SIDE x SIDE pixels, in
NAME.npy as uint8 (N, height, width, channels). The options are JSON."""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder, name, side = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
images = mx.io.ImageRecordIter(
    path_imgrec=str(folder / f"{name}.rec"),
    data_shape=(3, side, side),
    batch_size=50,
    preprocess_threads=1,
    seed=7,
    seed_aug=7,
    **json.loads(sys.argv[4]),
)
out = np.concatenate([batch.data[0].asnumpy() for batch in images])
np.save(folder / f"{name}.npy", out.transpose(0, 2, 3, 1).round().astype(np.uint8))
