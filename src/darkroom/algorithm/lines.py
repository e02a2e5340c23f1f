"""Every line of the real algorithm's log, as pure functions: wording, order and decimals are what metric regexes,
notebooks and log scrapers know. It knows no clock and prints nothing but through ``start``.

Tabs are tabs here; CloudWatch Logs, and our log store, show them as #011.
"""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from darkroom.algorithm.hyperparameters import Hyperparameters

ENTRYPOINT = "Docker entrypoint called with argument(s): "  # the one line without a prefix; __main__ prints it


def start(stream: TextIO | None = None) -> logging.Logger:
    """The job's logger: ``[11/20/2026 23:59:01 INFO 140484553713472] text`` in UTC, flushed line by line."""
    formatter = logging.Formatter("[%(asctime)s %(levelname)s %(thread)d] %(message)s", "%m/%d/%Y %H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(formatter)
    log = logging.getLogger("darkroom.algorithm")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    return log


def configuration(default_path: str, defaults: Mapping[str, Any], path: str, given: Mapping[str, str]) -> Iterator[str]:
    yield f"Reading default configuration from {default_path}: {dict(defaults)}"
    yield f"Merging with provided configuration from {path}: {dict(given)}"
    yield f"Final configuration: {dict(defaults) | dict(given)}"


def parameters(values: Hyperparameters, hosts: int = 1) -> Iterator[str]:
    """The block between the dashes. num_training_samples is the number in use, not the number given."""
    yield "---- Parameters ----"
    yield f"num_layers: {values.num_layers}"
    yield f"data type: <class 'numpy.{values.precision_dtype}'>"
    yield f"epochs: {values.epochs}"
    if values.resize is not None:
        yield f"image resize size: {values.resize}"
    yield f"optimizer: {values.optimizer}"
    for name in ("momentum", "weight_decay", "beta_1", "beta_2", "eps", "gamma"):
        if values.applies(name):
            yield f"{name}: {getattr(values, name)}"
    yield f"learning_rate: {values.learning_rate}"
    if values.lr_scheduler_step is not None:
        yield f"lr_scheduler_step: {values.lr_scheduler_step}"
        yield f"lr_scheduler_factor: {values.lr_scheduler_factor}"
    for name in ("num_training_samples", "mini_batch_size", "image_shape", "num_classes", "augmentation_type"):
        yield f"{name}: {getattr(values, name)}"
    yield f"kv_store: {'device' if hosts == 1 else 'dist_sync'}"
    if values.top_k is not None:
        yield f"top_k: {values.top_k}"
    if values.early_stopping:
        for name in ("early_stopping", *(f"early_stopping_{part}" for part in ("min_epochs", "patience", "tolerance"))):
            yield f"{name}: {getattr(values, name)}"
    if values.checkpoint_frequency is None:
        yield "checkpoint_frequency not set, will store the best model"
    else:
        yield f"checkpoint_frequency: {values.checkpoint_frequency}"
    yield "--------------------"


def batch(epoch: int, batch: int, images_per_s: float, metrics: Mapping[str, float]) -> str:
    """``Epoch[0] Batch [20]<tab>Speed: 115.876 samples/sec<tab>accuracy=0.004464``."""
    parts = [f"Epoch[{epoch}] Batch [{batch}]", f"Speed: {images_per_s:.3f} samples/sec"]
    return "\t".join(parts + [f"{name}={value:.6f}" for name, value in metrics.items()])


def epoch_end(epoch: int, metrics: Mapping[str, float], seconds: float) -> Iterator[str]:
    for name, value in metrics.items():
        yield f"Epoch[{epoch}] Train-{name}={value:.6f}"
    yield f"Epoch[{epoch}] Time cost={seconds:.3f}"


def validation(epoch: int, accuracy: float) -> str:
    return f"Epoch[{epoch}] Validation-accuracy={accuracy:.6f}"


def early_stopping(values: Hyperparameters) -> str:
    """SageMaker's own wording is not known."""
    epochs = values.early_stopping_patience
    return f"Early stopping: validation accuracy has not improved in the last {epochs} epochs"


def storing_best(accuracy: float) -> str:
    return f"Storing the best model with validation accuracy: {accuracy:.6f}"


def saved(path: object) -> str:
    return f'Saved checkpoint to "{path}"'
