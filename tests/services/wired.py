"""Services behind the real front door on loopback, and real boto3 clients of them."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from darkroom.wire.front import Front
from darkroom.wire.listener import SERVER
from darkroom.wire.service import Service
from darkroom.wire.sigv4 import Verifier

KEY, SECRET, REGION = "AKIATESTTESTTESTTEST", "secret", "eu-west-1"


@contextmanager
def wired(services: Mapping[str, Service]) -> Iterator[str]:
    """The address of the services while the block runs."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Front(services, Verifier({KEY: SECRET}.get)), **SERVER))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def client(url: str, name: str) -> Any:
    return boto3.client(
        name,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}),
    )
