"""What a channel of CreateTrainingJob means: the Input of a task and its entry in inputdataconfig.json. Pure.

Whether it can be honoured is checked in ``channel_checks``.
"""

from collections.abc import Mapping
from typing import Any

from darkroom.control.locations import bucket_and_key
from darkroom.executors.base import Input, Pipe, Shard, Source

PIPE, FILE = "Pipe", "File"
MODEL = "application/x-sagemaker-model"
RECORDIO = "RecordIO"


def source_of(channel: Mapping[str, Any]) -> Mapping[str, Any]:
    source: Mapping[str, Any] = channel["DataSource"]["S3DataSource"]
    return source


def mode_of(channel: Mapping[str, Any], job_mode: str) -> str:
    """File, FastFile or Pipe: the channel's own, else the job's.

    An augmented manifest is always piped, because only a pipe can carry it; a model is a file, as in the SDKs.
    """
    if source_of(channel)["S3DataType"] == Source.AUGMENTED:
        return PIPE
    if "InputMode" not in channel and channel.get("ContentType") == MODEL:
        return FILE
    return str(channel.get("InputMode", job_mode))


def described(channel: Mapping[str, Any], job_mode: str) -> dict[str, str]:
    """The members that SageMaker writes for a channel into inputdataconfig.json."""
    return {
        "TrainingInputMode": mode_of(channel, job_mode),
        "S3DistributionType": source_of(channel).get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    } | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def is_sharded(channel: Mapping[str, Any]) -> bool:
    return bool(source_of(channel).get("S3DataDistributionType") == "ShardedByS3Key")


def input_of(channel: Mapping[str, Any], job_mode: str, host: int = 0, hosts: int = 1) -> Input:
    """What host number ``host`` of ``hosts``, from 0, is given."""
    source = source_of(channel)
    pipe = Pipe(
        wrapped=channel.get("RecordWrapperType") == RECORDIO,
        gzipped=channel.get("CompressionType") == "Gzip",
        seed=channel.get("ShuffleConfig", {}).get("Seed"),
    )
    return Input(
        channel["ChannelName"],
        *bucket_and_key(source["S3Uri"]),
        source=Source(source["S3DataType"]),
        attributes=tuple(source.get("AttributeNames", ())),
        shard=Shard(host, hosts) if hosts > 1 and is_sharded(channel) else None,
        pipe=pipe if mode_of(channel, job_mode) == PIPE else None,
    )
