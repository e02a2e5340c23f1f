from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.wire.live import Shelf, client, front_of, serving


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def port(shelf) -> Iterator[int]:
    with serving(front_of(shelf)) as port:
        yield port


@pytest.fixture
def connect(port):
    """``connect("s3", …)``: a boto3 client that is closed after the test."""
    with ExitStack() as stack:

        def opened(service: str, **changes):
            made = client(port, service, **changes)
            stack.callback(made.close)
            return made

        yield opened
