"""What compiling to eight bits costs a model that has really learnt: top-1 on photos that training never saw.

Needs the photos and the pretrained weights (DARKROOM_SHARED names their folder). Both sides are the compiler's own
verdict, in the engine that serves; networks with narrow layers, as MobileNetV2, suffer most from eight bits.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import transfer
from benchmarks.rows import Row, compare

EPOCHS = 2
REQUEST = {"InputConfig": {"Framework": "MXNET"}, "OutputConfig": {"TargetDevice": "ml_c5"}}


def rows() -> list[Row]:
    """Raises Unavailable."""
    found = []
    for name, settings in (("mobilenet-v2", transfer.MOBILENET), ("resnet18", transfer.RESNET18)):
        verdict = _compiled(settings)["verdict"]
        ours, peer = [verdict["accuracy"]], [verdict["accuracy_reference"]]
        row = compare(
            f"compiled-accuracy-{name}", ours, peer, peer_name="itself in fp32", unit="top-1", more_is_better=True
        )
        found.append(row)
    return found


def _compiled(settings: dict[str, object]) -> dict[str, Any]:
    """The compiler's report on a network fine-tuned on cats and dogs."""
    train, validation = transfer.cats_dogs()
    with tempfile.TemporaryDirectory(prefix="accuracy-") as folder:
        base = Path(folder)
        config, data = base / "input" / "config", base / "input" / "data"
        config.mkdir(parents=True)
        data.mkdir()
        (data / "train").symlink_to(train)
        (data / "validation").symlink_to(validation)
        given = settings | {"num_classes": 2, "epochs": EPOCHS, "use_pretrained_model": 1}
        (config / "hyperparameters.json").write_text(json.dumps({k: str(v) for k, v in given.items()}))
        _run(base, "darkroom.algorithm", "train")
        (base / "model").rename(data / "model")
        (config / "compilation.json").write_text(json.dumps(REQUEST))
        _run(base, "darkroom.compiler")
        report: dict[str, Any] = json.loads((base / "model" / "compilation-report.json").read_text())
        return report


def _run(base: Path, *module: str) -> None:
    environ = {**os.environ, "SAGEMAKER_BASE_DIR": str(base), "DARKROOM_WEIGHTS": str(transfer.SHARED / "weights")}
    done = subprocess.run([sys.executable, "-m", *module], env=environ, capture_output=True, text=True, timeout=400)
    if done.returncode:
        raise RuntimeError(f"{module[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
