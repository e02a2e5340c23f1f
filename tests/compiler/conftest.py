"""A network that has really learnt something: the algorithm, for ten seconds, on the photos of the examples."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SETTINGS = {
    "num_classes": 6,
    "num_layers": 20,
    "image_shape": "3,32,32",
    "mini_batch_size": 16,
    "epochs": 10,
    "learning_rate": 0.05,
    "lr_scheduler_step": "6,9",
    "resize": 36,
    "augmentation_type": "crop",
}


@dataclass(frozen=True)
class Trained:
    """``validation``: photos that the training did not see, with their classes; half of ``training`` is enough."""

    model: Path
    training: list[bytes]
    validation: list[tuple[bytes, int]]


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Trained:
    base = tmp_path_factory.mktemp("trained")
    kept: dict[str, list[tuple[bytes, int]]] = {"train": [], "validation": []}
    for label, folder in enumerate(sorted(path for path in PHOTOS.iterdir() if path.is_dir())):
        for k, photo in enumerate(sorted(folder.iterdir())):
            channel = "train" if k % 4 else "validation"
            target = base / "input" / "data" / channel / folder.name / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo, target)
            kept[channel].append((photo.read_bytes(), label))
    config = base / "input" / "config"
    config.mkdir()
    settings = {name: str(value) for name, value in SETTINGS.items()} | {
        "num_training_samples": str(len(kept["train"]))
    }
    (config / "hyperparameters.json").write_text(json.dumps(settings))
    channel = {"ContentType": "application/x-image", "TrainingInputMode": "File"}
    (config / "inputdataconfig.json").write_text(json.dumps(dict.fromkeys(kept, channel)))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "darkroom.algorithm", "train"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:]
    return Trained(base / "model", [data for data, _ in kept["train"]], kept["validation"])
