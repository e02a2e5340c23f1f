"""Small real models for tests: random ResNet-20s that have looked at some pictures, saved as artifacts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from darkroom.imaging.preprocess import Preprocess
from darkroom.networks import artifact, resnet
from tests.imaging.pictures import blocks

CLASSES = tuple(f"breed {k}" for k in range(10))
PREPROCESS = Preprocess(32, 32, 3, 36)
PHOTOS = 32


def save(folder: Path, preprocess: Preprocess | None = PREPROCESS, **options: Any) -> Path:
    """A model of ten classes whose answers differ from picture to picture."""
    shape = (3, 32, 32) if preprocess is None else (preprocess.channels, preprocess.height, preprocess.width)
    net = resnet.build(20, len(CLASSES), shape, generator=torch.Generator().manual_seed(7))
    photos = np.stack([blocks(shape[1], shape[2], seed)[..., : shape[0]] for seed in range(PHOTOS)])
    images = torch.from_numpy(photos).permute(0, 3, 1, 2)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain average: one look is enough
    with torch.no_grad():
        net.train()(images)
    classes = None if preprocess is None else CLASSES
    record = None if preprocess is None else preprocess.to_dict()
    options = {"classes": classes, "preprocessing": record, "epoch": 3, "batch_size": 8} | options
    artifact.save(folder, net.eval(), **options)
    return folder
