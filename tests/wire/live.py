"""A front with a few small services, served by a real uvicorn on loopback, and clients that talk to it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from darkroom.wire.front import Front
from darkroom.wire.listener import SERVER
from darkroom.wire.messages import Call, FileSlice, Response, ServiceError
from darkroom.wire.operations import Operations
from darkroom.wire.service import Service
from darkroom.wire.sigv4 import Verifier

KEY, SECRET = "AKTEST", "a/secret+of=the tests"
REGION = "us-east-1"
ONCE = Config(retries={"total_max_attempts": 1})


@dataclass
class Shelf:
    """What the little services work on: stored bodies, and every call that arrived."""

    folder: Path
    stored: dict[str, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    piece_sizes: list[int] = field(default_factory=list)

    @property
    def last(self) -> Call:
        return self.calls[-1]


sagemaker, s3, cloudwatch, sts = Operations("sagemaker"), Operations("s3"), Operations("cloudwatch"), Operations("sts")


@sagemaker
def describe_model(shelf: Shelf, call: Call) -> dict[str, Any]:
    shelf.calls.append(call)
    raise ServiceError("ValidationException", f"Could not find model {call.params['ModelName']!r}.")


@sagemaker
def list_models(shelf: Shelf, call: Call) -> dict[str, Any]:
    shelf.calls.append(call)
    return {"Models": [{"ModelName": "m", "ModelArn": "arn", "CreationTime": datetime(2026, 1, 2, tzinfo=UTC)}]}


@sagemaker
def delete_model(shelf: Shelf, call: Call) -> None:
    raise RuntimeError("a fault of ours that mentions /secret/paths")


@s3
async def put_object(shelf: Shelf, call: Call) -> dict[str, Any]:
    pieces = [piece async for piece in call.params["Body"]]  # raises before anything is stored
    shelf.piece_sizes = [len(piece) for piece in pieces]
    shelf.stored[call.params["Key"]] = b"".join(pieces)
    shelf.calls.append(call)
    return {"ETag": '"etag"'}


@s3
def get_object(shelf: Shelf, call: Call) -> dict[str, Any] | Response:
    shelf.calls.append(call)
    key = call.params["Key"]
    if key not in shelf.stored:
        raise ServiceError("NoSuchKey", "The specified key does not exist.", 404, Key=key)
    path = shelf.folder / "blob"
    path.write_bytes(shelf.stored[key])
    size, result = len(shelf.stored[key]), {"ContentType": call.params.get("ResponseContentType", "text/plain")}
    if call.params.get("Range") == "bytes=1-3":
        return result | {"Body": FileSlice(path, 1, 4), "ContentRange": f"bytes 1-3/{size}"}
    return result | {"Body": FileSlice(path, 0, size), "Metadata": {"a": "b"}}


@s3
def head_object(shelf: Shelf, call: Call) -> dict[str, Any]:
    if call.params["Key"] not in shelf.stored:
        raise ServiceError("NoSuchKey", "The specified key does not exist.", 404)
    return {"ContentLength": len(shelf.stored[call.params["Key"]])}


@s3
async def delete_objects(shelf: Shelf, call: Call) -> dict[str, Any]:
    return {"Deleted": [{"Key": item["Key"]} for item in call.params["Delete"]["Objects"]]}


@s3
async def get_object_attributes(shelf: Shelf, call: Call) -> Response:
    async def pieces():
        for number in range(3):
            yield b"%d" % number

    return Response(200, {}, pieces())


@cloudwatch
def list_metrics(shelf: Shelf, call: Call) -> dict[str, Any]:
    return {"Metrics": [{"Namespace": "n", "MetricName": "m"}]}


@cloudwatch
def put_metric_data(shelf: Shelf, call: Call) -> None:
    shelf.calls.append(call)


@cloudwatch
def get_dashboard(shelf: Shelf, call: Call) -> None:
    raise ServiceError("DashboardNotFoundError", "no such dashboard", 404)


@sts
def get_caller_identity(shelf: Shelf, call: Call) -> dict[str, Any]:
    return {"Account": "0" * 12, "Arn": "arn:aws:sts::0:x", "UserId": call.caller.region}


def front_of(shelf: Shelf, now=lambda: datetime.now(UTC), secrets=None) -> Front:
    services = {o.service: Service(o.service, o.bind(shelf)) for o in (sagemaker, s3, cloudwatch, sts)}
    return Front(services, Verifier((secrets or {KEY: SECRET}).get, now), "9.9")


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serves an ASGI app on an ephemeral port of loopback, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **SERVER))
    ready = threading.Event()
    started = server.startup

    async def startup(sockets=None):
        await started(sockets)
        ready.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert ready.wait(20)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def client(port: int, service: str, **changes: Any) -> Any:
    """A real boto3 client; close it."""
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION, "config": ONCE}
    return boto3.client(service, **({"endpoint_url": f"http://127.0.0.1:{port}"} | keys | changes))
