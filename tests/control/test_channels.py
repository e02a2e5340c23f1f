from typing import Any

from darkroom.control import channels
from darkroom.executors.base import Input, Pipe, Shard, Source
from tests.control.platform import channel


def made(source: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    given = channel("train", "s3://b/k", **changes)
    given["DataSource"]["S3DataSource"] |= source or {}
    return given


def test_a_channel_is_read_in_its_own_mode_else_in_the_jobs() -> None:
    assert channels.mode_of(made(), "FastFile") == "FastFile"
    assert channels.mode_of(made(InputMode="File"), "Pipe") == "File"
    assert channels.mode_of(made({"S3DataType": "AugmentedManifestFile"}), "File") == "Pipe"
    assert channels.mode_of(made(ContentType="application/x-sagemaker-model"), "Pipe") == "File"


def test_files_are_laid_out_and_pipes_are_fed() -> None:
    assert channels.input_of(made(), "File") == channels.input_of(made(), "FastFile") == Input("train", "b", "k")
    piped = made({"S3DataType": "ManifestFile"}, CompressionType="Gzip", ShuffleConfig={"Seed": 7})
    assert channels.input_of(piped, "Pipe") == Input(
        "train", "b", "k", Source.MANIFEST, pipe=Pipe(gzipped=True, seed=7)
    )
    lines = made(
        {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a-ref", "b"]}, RecordWrapperType="RecordIO"
    )
    assert channels.input_of(lines, "Pipe") == Input(
        "train", "b", "k", Source.AUGMENTED, ("a-ref", "b"), pipe=Pipe(wrapped=True)
    )


def test_each_host_has_its_shard_where_that_is_asked_for() -> None:
    sharded = made({"S3DataDistributionType": "ShardedByS3Key"})
    assert [channels.input_of(sharded, "File", host, 2).shard for host in (0, 1)] == [Shard(0, 2), Shard(1, 2)]
    assert channels.input_of(sharded, "File").shard is None
    assert channels.input_of(made(), "File", 1, 2).shard is None


def test_what_a_program_reads_of_its_channels() -> None:
    assert channels.described(made(InputMode="Pipe", RecordWrapperType="RecordIO", ContentType="t"), "File") == {
        "TrainingInputMode": "Pipe",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "RecordIO",
        "ContentType": "t",
    }
