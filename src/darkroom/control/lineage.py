"""Which training job made an artifact, and what of its data can serve to compile it. By the artifact's place alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from darkroom.control.locations import model_url
from darkroom.control.resources import Kind, Resource
from darkroom.errors import NotFound

CHANNELS = ("train", "validation", "train_lst", "validation_lst")
FOLDERS_BELOW_JOB = 2  # <job>/output/model.tar.gz

Find = Callable[[Kind, str], Resource]


@dataclass(frozen=True)
class Origin:
    """``channels``: the s3:// prefix of each; ``hyperparameters`` as the training request gave them."""

    training_job: str = ""
    channels: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "training_job": self.training_job,
            "channels": dict(self.channels),
            "hyperparameters": dict(self.hyperparameters),
        }


def origin_of(artifact: str, find: Find) -> Origin:
    """Of ``s3://…/<job>/output/model.tar.gz``; an empty one where no job here made it. ``find`` raises NotFound."""
    parts = artifact.rstrip("/").split("/")
    if len(parts) <= FOLDERS_BELOW_JOB:
        return Origin()
    try:
        job = find(Kind.TRAINING_JOB, parts[-1 - FOLDERS_BELOW_JOB])
    except NotFound:
        return Origin()
    if model_url(job.request) != artifact:
        return Origin()
    return Origin(job.name, _channels(job.request), job.request.get("HyperParameters", {}))


def _channels(request: Mapping[str, Any]) -> dict[str, str]:
    """Those that lie as plain objects below a prefix."""
    found = {}
    for channel in request.get("InputDataConfig", ()):
        source = channel["DataSource"].get("S3DataSource", {})
        plain = source.get("S3DataType") == "S3Prefix" and channel.get("CompressionType", "None") == "None"
        if plain and channel["ChannelName"] in CHANNELS:
            found[channel["ChannelName"]] = source["S3Uri"]
    return found
