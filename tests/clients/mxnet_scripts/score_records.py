"""FOLDER EPOCH REC HEIGHT WIDTH BATCH: accuracy of the folder's checkpoint on the records, by Module.score and MXNet's
own ImageRecordIter, into accuracy.json. The batches must divide the records: MXNet's last batch wraps round."""

import json
import sys
from pathlib import Path

import mxnet as mx

folder, epoch, rec = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
height, width, batch = map(int, sys.argv[4:])
symbol, arguments, auxiliaries = mx.model.load_checkpoint(str(folder / "image-classification"), epoch)
images = mx.io.ImageRecordIter(path_imgrec=rec, data_shape=(3, height, width), batch_size=batch, preprocess_threads=1)
module = mx.mod.Module(symbol)
module.bind(images.provide_data, images.provide_label, for_training=False)
module.set_params(arguments, auxiliaries)
((_, accuracy),) = module.score(images, "acc")
(folder / "accuracy.json").write_text(json.dumps(accuracy))
