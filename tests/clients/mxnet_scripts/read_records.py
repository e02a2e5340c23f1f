"""FOLDER: read a.rec and a.idx with MXNet; write records.json: [{key, labels, id, id2, data (hex)}]."""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder = Path(sys.argv[1])
file = mx.recordio.MXIndexedRecordIO(str(folder / "a.idx"), str(folder / "a.rec"), "r")
found = []
for key in file.keys:
    header, data = mx.recordio.unpack(file.read_idx(key))
    labels = np.atleast_1d(header.label).tolist()
    found.append({"key": key, "labels": labels, "id": header.id, "id2": header.id2, "data": data.hex()})
(folder / "records.json").write_text(json.dumps(found))
