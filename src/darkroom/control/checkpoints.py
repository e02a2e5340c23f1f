"""What CheckpointConfig of CreateTrainingJob means, and whether it can be honoured. Pure."""

import posixpath
from collections.abc import Mapping
from typing import Any

from darkroom.control.locations import bucket_and_key
from darkroom.errors import Invalid
from darkroom.executors.base import Checkpoints

OPT_ML = "/opt/ml"
LOCAL_PATH = f"{OPT_ML}/checkpoints"
TAKEN = ("input", "model", "output", "code", "errors")  # folders of /opt/ml that mean something else


def kept(request: Mapping[str, Any]) -> Checkpoints | None:
    """Where the checkpoints of a job are kept; None for a job that has none. Raises Invalid."""
    config = request.get("CheckpointConfig")
    if not config:
        return None
    bucket, key = bucket_and_key(config["S3Uri"])
    prefix = f"{key.rstrip('/')}/" if key else ""
    return Checkpoints(bucket, prefix, folder(config.get("LocalPath", LOCAL_PATH)))


def folder(local_path: str) -> str:
    """LocalPath, told from /opt/ml. Raises Invalid."""
    path = posixpath.normpath(local_path)
    below = posixpath.relpath(path, OPT_ML)
    if not path.startswith(f"{OPT_ML}/") or below.split("/")[0] in TAKEN:
        raise Invalid(
            f"CheckpointConfig.LocalPath {local_path!r} must be a folder below {OPT_ML} that has no other use: leave "
            f"it out for {LOCAL_PATH}"
        )
    return below
