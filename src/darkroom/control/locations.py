"""s3:// URLs, and where a job's artifacts go."""

from collections.abc import Mapping
from typing import Any

from darkroom.errors import Invalid


def bucket_and_key(url: str) -> tuple[str, str]:
    """("bucket", "rest/of/it") of an s3:// URL. Raises Invalid for anything else."""
    scheme, found, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not found or not bucket:
        raise Invalid(f"{url!r} is not an S3 location: write s3://bucket/prefix")
    return bucket, key


def output_key(request: Mapping[str, Any], file_name: str) -> tuple[str, str]:
    """(bucket, key) of one of a training job's output files, below ``<S3OutputPath>/<job>/output/``."""
    bucket, prefix = bucket_and_key(request["OutputDataConfig"]["S3OutputPath"])
    folder = prefix.strip("/")
    start = f"{folder}/" if folder else ""
    return bucket, f"{start}{request['TrainingJobName']}/output/{file_name}"


def model_url(request: Mapping[str, Any]) -> str:
    """Where a training job's model.tar.gz is, or will be."""
    bucket, key = output_key(request, "model.tar.gz")
    return f"s3://{bucket}/{key}"
