"""FOLDER: write a.rec and a.idx with MXNet from records.json: [{key, labels, id, id2, data (hex)}]."""

import json
import sys
from pathlib import Path

import mxnet as mx

folder = Path(sys.argv[1])
file = mx.recordio.MXIndexedRecordIO(str(folder / "a.idx"), str(folder / "a.rec"), "w")
for record in json.loads((folder / "records.json").read_text()):
    labels = record["labels"] if len(record["labels"]) > 1 else record["labels"][0]
    header = mx.recordio.IRHeader(0, labels, record["id"], record["id2"])
    file.write_idx(record["key"], mx.recordio.pack(header, bytes.fromhex(record["data"])))
file.close()
