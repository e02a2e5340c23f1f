"""What pretrained weights are worth: validation accuracy after few epochs, against the same network started at random.

Real photos and real ImageNet weights; DARKROOM_SHARED names the folder that holds data/cats_dogs, data/caltech101 and
weights. Each figure is one job of the algorithm, started as the platform starts it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row, Unavailable, compare

SHARED = Path(os.environ.get("DARKROOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
RANDOM = "the same network from random weights"
EPOCHS = 2
# Few epochs of few photos: Adam moves the small weights of these files as far as the large ones.
MOBILENET = {
    "network": "mobilenet_v2",
    "image_shape": "3,224,224",
    "resize": 256,
    "mini_batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.0001,
    "lr_scheduler_step": 1,
}
RESNET18 = {
    "network": "resnet",
    "num_layers": 18,
    "image_shape": "3,112,112",
    "resize": 128,
    "mini_batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 0.0003,
    "lr_scheduler_step": 1,
}
# Twenty classes are more to tell apart than two, for a last layer that starts at zero: a rate that moves it, and epochs
# for it to arrive. Of the rates 0.01 and 0.03, either side does best, or as well, with this one.
RESNET18_CALTECH = RESNET18 | {
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "augmentation_type": "crop",
    "epochs": 7,
    "lr_scheduler_step": 5,
}
SEEDS = (0, 1, 2)  # of what starts at random and of the order of the photos
CALTECH_CLASSES, CALTECH_VALIDATION = 20, 10  # classes, and photos of each that are kept from training


def mobilenet() -> list[Row]:
    """Two epochs of 987 cats and dogs, 240 others to judge by."""
    train, validation = cats_dogs()
    return [_row("transfer-mobilenet-cats-dogs", train, validation, 2, MOBILENET)]


def resnet18() -> list[Row]:
    """Weights that lack the four last 3x3 convolutions: on cats and dogs, and on twenty classes of Caltech-101."""
    train, validation = cats_dogs()
    rows = [_row("transfer-resnet18-cats-dogs", train, validation, 2, RESNET18)]
    with tempfile.TemporaryDirectory() as folder:
        train, validation = _caltech(Path(folder))
        rows.append(_row("transfer-resnet18-caltech101", train, validation, CALTECH_CLASSES, RESNET18_CALTECH, SEEDS))
    return rows


def _row(
    name: str, train: Path, validation: Path, classes: int, settings: dict[str, object], seeds: Sequence[int] = (0,)
) -> Row:
    if not (SHARED / "weights").is_dir():
        raise Unavailable(f"no weights in {SHARED / 'weights'}; set DARKROOM_SHARED to the folder that has them")
    given = {"epochs": EPOCHS} | settings | {"num_classes": classes}
    ours, peer = (
        [accuracy(train, validation, given | {"use_pretrained_model": use}, seed) for seed in seeds] for use in (1, 0)
    )
    return compare(name, ours, peer, peer_name=RANDOM, unit="accuracy", more_is_better=True)


def accuracy(train: Path, validation: Path, settings: dict[str, object], seed: int) -> float:
    """Validation accuracy of a job's last epoch."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        data, config = base / "input" / "data", base / "input" / "config"
        data.mkdir(parents=True)
        config.mkdir()
        (data / "train").symlink_to(train)
        (data / "validation").symlink_to(validation)
        (config / "hyperparameters.json").write_text(json.dumps({k: str(v) for k, v in settings.items()}))
        environ = {**os.environ, "SAGEMAKER_BASE_DIR": folder, "DARKROOM_WEIGHTS": str(SHARED / "weights")}
        environ["DARKROOM_SEED"] = str(seed)
        command = [sys.executable, "-m", "darkroom.algorithm", "train"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900)
    found = re.findall(r"Validation-accuracy=([\d.]+)", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"the job failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(found[-1])


def cats_dogs() -> tuple[Path, Path]:
    folder = SHARED / "data" / "cats_dogs"
    if not folder.is_dir():
        raise Unavailable(f"no photos in {folder}; set DARKROOM_SHARED to the folder that holds data/cats_dogs")
    return folder / "train", folder / "test"


def _caltech(folder: Path) -> tuple[Path, Path]:
    """Links to the photos of the first classes by name, split by order."""
    source = SHARED / "data" / "caltech101"
    if not source.is_dir():
        raise Unavailable(f"no photos in {source}; set DARKROOM_SHARED to the folder that holds data/caltech101")
    for name in sorted(path.name for path in source.iterdir() if path.is_dir())[:CALTECH_CLASSES]:
        for number, photo in enumerate(sorted((source / name).iterdir())):
            target = folder / ("validation" if number < CALTECH_VALIDATION else "train") / name / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(photo)
    return folder / "train", folder / "validation"
