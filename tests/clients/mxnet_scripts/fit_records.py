"""FOLDER TRAIN VALIDATION SEEDS: MXNet's Module trains the folder's symbol on the records as settings.json says, once a
seed; accuracies of the last epoch, by Module.score, go to accuracies.json."""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np

folder, train, validation, seeds = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
settings = json.loads((folder / "settings.json").read_text())
shape, batch = (3, settings["side"], settings["side"]), settings["batch"]


def records(path, **options):
    return mx.io.ImageRecordIter(path_imgrec=path, data_shape=shape, batch_size=batch, preprocess_threads=1, **options)


accuracies = []
for seed in range(seeds):
    mx.random.seed(seed)
    np.random.seed(seed)
    held_out = records(validation)
    module = mx.mod.Module(mx.sym.load(str(folder / "image-classification-symbol.json")))
    module.fit(
        records(train, shuffle=True, seed=seed, shuffle_chunk_seed=seed),
        num_epoch=settings["epochs"],
        optimizer_params={
            "learning_rate": settings["learning_rate"],
            "momentum": 0.9,
            "wd": 0.0001,
            "lr_scheduler": mx.lr_scheduler.MultiFactorScheduler(step=[settings["drop_after"]], factor=0.1),
        },
        initializer=mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2),
    )
    accuracies.append(module.score(held_out, "acc")[0][1])
(folder / "accuracies.json").write_text(json.dumps(accuracies))
