"""The folder layout of a job, as SageMaker's containers know it. Both sides of the process boundary read it here.

Inside a mount namespace the base is ``/opt/ml``; without one, ``SAGEMAKER_BASE_DIR`` names it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OPT_ML = Path("/opt/ml")
BASE_DIR = "SAGEMAKER_BASE_DIR"
SOCKET = "DARKROOM_SOCKET"  # serving workers: the unix socket to listen on
CACHE = "DARKROOM_CACHE"  # serving workers: where engines keep what they made of a compiled model


@dataclass(frozen=True)
class Layout:
    """Paths below one base folder."""

    base: Path

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> "Layout":
        return cls(Path(environ.get(BASE_DIR, OPT_ML)))

    @property
    def config(self) -> Path:  # hyperparameters.json, inputdataconfig.json, resourceconfig.json
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        return self.base / "input" / "data"

    def channel(self, name: str) -> Path:
        return self.data / name

    def pipe(self, channel: str, epoch: int) -> Path:  # Pipe mode: a named pipe for each epoch, from 0
        return self.data / f"{channel}_{epoch}"

    def manifest_lines(self, channel: str) -> Path:  # Pipe mode: a JSON list, which line each image of epoch 0 is of
        return self.config / f"{channel}-manifest-lines.json"

    @property
    def model(self) -> Path:  # packed into model.tar.gz; unpacked from it for serving
        return self.base / "model"

    @property
    def output_data(self) -> Path:  # packed into output.tar.gz
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:  # its first 1024 characters become FailureReason
        return self.base / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        return self.base / "checkpoints"

    @property
    def code(self) -> Path:
        return self.base / "code"
