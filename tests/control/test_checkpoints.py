"""What CheckpointConfig means for a task."""

import pytest

from darkroom.control import checkpoints
from darkroom.executors.base import Checkpoints


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (None, None),
        ({"S3Uri": "s3://b/a/c"}, Checkpoints("b", "a/c/", "checkpoints")),
        ({"S3Uri": "s3://b/a/"}, Checkpoints("b", "a/", "checkpoints")),
        ({"S3Uri": "s3://b"}, Checkpoints("b", "", "checkpoints")),
        ({"S3Uri": "s3://b/a", "LocalPath": "/opt/ml/saved/x"}, Checkpoints("b", "a/", "saved/x")),
    ],
)
def test_where_checkpoints_are_kept(config: dict[str, str] | None, kept: Checkpoints | None) -> None:
    assert checkpoints.kept({"CheckpointConfig": config} if config else {}) == kept
