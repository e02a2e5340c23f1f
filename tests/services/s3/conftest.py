"""One S3 of ours for all tests of this folder, and clients of it. Every test has a bucket of its own."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from darkroom.testing.live_s3 import KEY, SECRET, LiveS3, live_s3

NUMBERS = itertools.count(1)
ONCE = {"total_max_attempts": 1}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveS3]:
    with live_s3(tmp_path_factory.mktemp("s3")) as live:
        yield live


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    return boto3.Session(KEY, SECRET, region_name="us-east-1")


@pytest.fixture(scope="session")
def client(server: LiveS3, session: boto3.Session) -> Callable[..., Any]:
    """Makes further clients: ``client(region_name=…, config=…)``."""

    def make(config: Config | None = None, **more: Any) -> Any:
        once = Config(retries=ONCE)
        return session.client("s3", endpoint_url=server.url, config=once.merge(config) if config else once, **more)

    return make


@pytest.fixture(scope="session")
def s3(client: Callable[..., Any]) -> Any:
    return client()


@pytest.fixture(scope="session")
def nobody(client: Callable[..., Any]) -> Any:
    """A client that does not sign."""
    return client(Config(signature_version=UNSIGNED))


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"photos-{next(NUMBERS)}"
    s3.create_bucket(Bucket=name)
    return name
