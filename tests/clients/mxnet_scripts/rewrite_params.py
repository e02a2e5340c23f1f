"""FOLDER: load arrays.npz and save them as mxnet.params; load ours.params and save it again as again.params."""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder = Path(sys.argv[1])
with np.load(folder / "arrays.npz") as arrays:
    saved = {name: mx.nd.array(arrays[name], dtype=arrays[name].dtype) for name in arrays.files}
mx.nd.save(str(folder / "mxnet.params"), saved)
mx.nd.save(str(folder / "again.params"), mx.nd.load(str(folder / "ours.params")))
mx.nd.save(str(folder / "unnamed.params"), list(saved.values()))
half = np.dtype([("bfloat16", np.uint16)])
mx.nd.save(str(folder / "bfloat16.params"), {"x": mx.nd.array([1.0, -2.5]).astype(half)})
mx.nd.save(str(folder / "sparse.params"), {"x": mx.nd.array([[0.0, 1.0]]).tostype("csr")})
