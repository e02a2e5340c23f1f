"""InvokeEndpoint through a real front, with real workers on unix sockets and a real boto3 client."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from botocore.exceptions import ClientError

from darkroom.control.routes import Route, Routes, Variant
from darkroom.services import runtime
from darkroom.telemetry.invocations import InvocationMeter
from darkroom.wire.forward import Forwarder
from darkroom.wire.front import Front
from darkroom.wire.sigv4 import Verifier
from tests.wire.live import KEY, SECRET, client, serving

pytestmark = pytest.mark.slow

ACCOUNT, LIMIT = "123456789012", 100_000


class Model:
    """A worker that repeats what it was asked, or dies when it is told to."""

    def __init__(self, name: str) -> None:
        self.name, self.seen = name, []
        self.status, self.answer, self.headers = 200, b"", []

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers, body))
        sent = [(b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": sent})
        await send({"type": "http.response.body", "body": self.answer or self.name.encode()})


@contextmanager
def listening(app, path: Path) -> Iterator[None]:
    """Serves a worker on a unix socket, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, uds=str(path), lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def dying(path: Path) -> Iterator[list[bytes]]:
    """A worker that reads a request and closes the connection; the list holds what it read."""
    listener, read = socket.socket(socket.AF_UNIX), []
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                read.append(connection.recv(1_000_000))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield read
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


class Meter(InvocationMeter):
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.counted: list[tuple] = []

    def count(self, *arguments) -> None:
        self.counted.append(arguments)


@pytest.fixture
def routes() -> Routes:
    return Routes()


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def draws() -> list[float]:
    return []


@pytest.fixture
def invoke(routes, meter, draws, monkeypatch):
    """invoke_endpoint of a boto3 client that asks a front with these routes."""
    monkeypatch.setattr(runtime, "WAIT_FOR_WORKER_S", 1.0)
    forwarder = Forwarder(connect_s=5, answer_s=1.0)
    part = runtime.Runtime(routes, meter, lambda: draws.pop(0) if draws else 0.0, ACCOUNT, LIMIT, forwarder)
    with serving(Front({"sagemaker-runtime": runtime.service(part)}, Verifier({KEY: SECRET}.get))) as port:
        made = client(port, "sagemaker-runtime")
        yield lambda **changes: made.invoke_endpoint(**{"EndpointName": "e", "Body": b"picture"} | changes)
        made.close()


def publish(routes: Routes, *variants: tuple[str, float, list[Path]]) -> None:
    routes.publish(Route("e", tuple(Variant(name, weight, tuple(sockets)) for name, weight, sockets in variants)))


@pytest.fixture
def model(routes, tmp_path):
    """One ready worker behind variant AllTraffic."""
    worker = Model("model")
    with listening(worker, tmp_path / "m.sock"):
        publish(routes, ("AllTraffic", 1, [tmp_path / "m.sock"]))
        yield worker


def test_the_body_goes_to_the_worker_and_its_answer_back(invoke, model, meter):
    body = os.urandom(60_000)
    answer = invoke(
        Body=body, ContentType="application/x-image", Accept="application/json", CustomAttributes="c=1", InferenceId="i"
    )
    assert answer["Body"].read() == b"model"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "AllTraffic")
    method, path, headers, got = model.seen[0]
    assert (method, path, got) == ("POST", "/invocations", body)
    assert headers["content-type"] == "application/x-image"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "c=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "i"
    ((endpoint, variant, status, model_s, overhead_s),) = meter.counted
    assert (endpoint, variant, status) == ("e", "AllTraffic", 200)
    assert 0 < model_s < 5
    assert 0 < overhead_s < 5


def test_headers_that_were_not_sent_are_not_made_up(invoke, model):
    invoke()
    assert not {"accept", "x-amzn-sagemaker-custom-attributes"} & model.seen[0][2].keys()


def test_custom_attributes_of_the_model_come_back(invoke, model):
    model.headers = [(b"x-amzn-sagemaker-custom-attributes", b"trace=7")]
    assert invoke()["CustomAttributes"] == "trace=7"


def test_weights_and_targets_choose_the_variant(invoke, routes, tmp_path, draws):
    with listening(Model("one"), tmp_path / "1"), listening(Model("two"), tmp_path / "2"):
        publish(routes, ("One", 1, [tmp_path / "1"]), ("Two", 3, [tmp_path / "2"]))
        draws += [0.0, 0.24, 0.26, 0.99]
        assert [invoke()["InvokedProductionVariant"] for _ in range(4)] == ["One", "One", "Two", "Two"]
        assert invoke(TargetVariant="Two")["Body"].read() == b"two"
        with pytest.raises(ClientError, match="Variant Three not found for Request; the endpoint has: One, Two"):
            invoke(TargetVariant="Three")


def test_workers_of_a_variant_take_turns(invoke, routes, tmp_path):
    with listening(Model("one"), tmp_path / "1"), listening(Model("two"), tmp_path / "2"):
        publish(routes, ("V", 1, [tmp_path / "1", tmp_path / "2"]))
        assert [invoke()["Body"].read() for _ in range(4)] == [b"one", b"two", b"one", b"two"]


def code_of(error) -> tuple[str, int]:
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_unknown_endpoint(invoke, meter):
    with pytest.raises(ClientError, match=rf"Endpoint e of account {ACCOUNT} not found\.") as error:
        invoke()
    assert code_of(error) == ("ValidationError", 400)
    assert meter.counted == []


@pytest.mark.parametrize(("status", "side"), [(415, "client"), (500, "server"), (503, "server")])
def test_errors_of_the_model_are_424_and_never_retried(invoke, model, meter, status, side):
    model.status, model.answer = status, '{"error": "ünreadable"}'.encode()
    with pytest.raises(ClientError) as error:
        invoke()
    response = error.value.response
    assert code_of(error) == ("ModelError", 424)
    assert response["Error"]["Message"].startswith(
        f'Received {side} error ({status}) from AllTraffic with message "{{"error": "ünreadable"}}". See '
    )
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, '{"error": "ünreadable"}')
    assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/e"
    assert len(model.seen) == 1
    assert meter.counted[0][2] == 424


def test_a_picture_over_the_limit_names_the_limit_and_the_setting(invoke, model):
    assert invoke(Body=b"x" * LIMIT)["Body"].read() == b"model"
    with pytest.raises(ClientError, match=rf"exceeded {LIMIT} bytes.*DARKROOM_MAX_PAYLOAD_BYTES") as error:
        invoke(Body=b"x" * (LIMIT + 1))
    assert code_of(error)[1] == 413
    assert len(model.seen) == 1


def test_members_without_meaning_here_are_refused(invoke, model):
    with pytest.raises(ClientError, match="TargetModel has no meaning here: multi-model endpoints are not offered"):
        invoke(TargetModel="m.tar.gz")


# Workers that die


def test_a_worker_that_dies_before_it_answers_is_replaced_by_another(invoke, routes, tmp_path, meter):
    alive = Model("alive")
    with dying(tmp_path / "dead") as read, listening(alive, tmp_path / "alive"):
        publish(routes, ("V", 1, [tmp_path / "dead", tmp_path / "alive"]))
        assert invoke()["Body"].read() == b"alive"
    assert (len(read), len(alive.seen)) == (1, 1)
    assert [c[2] for c in meter.counted] == [200]


def test_a_request_is_sent_twice_at_most(invoke, routes, tmp_path, meter):
    """A picture that kills workers must not kill them all."""
    with dying(tmp_path / "1") as one, dying(tmp_path / "2") as two, dying(tmp_path / "3") as three:
        publish(routes, ("V", 1, [tmp_path / "1", tmp_path / "2", tmp_path / "3"]))
        with pytest.raises(ClientError, match="Variant V of endpoint e died twice with this request") as error:
            invoke()
    assert code_of(error) == ("ServiceUnavailable", 503)
    assert len(one) + len(two) + len(three) == 2
    assert meter.counted[0][2] == 503


def test_a_request_waits_for_the_worker_that_is_being_replaced(invoke, routes, tmp_path):
    publish(routes, ("V", 1, [tmp_path / "gone"]))
    with listening(Model("new"), tmp_path / "new"):
        timer = threading.Timer(0.2, publish, (routes, ("V", 1, [tmp_path / "new"])))
        timer.start()
        assert invoke()["Body"].read() == b"new"
        timer.join()


def test_no_worker_at_all_is_503_after_a_while(invoke, routes):
    publish(routes, ("V", 1, []))
    with pytest.raises(ClientError, match="has no worker that answers") as error:
        invoke()
    assert code_of(error) == ("ServiceUnavailable", 503)


def test_an_endpoint_that_is_deleted_meanwhile(invoke, routes):
    publish(routes, ("V", 1, []))
    timer = threading.Timer(0.2, routes.withdraw, ("e",))
    timer.start()
    with pytest.raises(ClientError, match="not found"):
        invoke()
    timer.join()


def test_a_model_that_takes_too_long(invoke, routes, tmp_path):
    async def slow(scope, receive, send):
        await asyncio.sleep(3)

    with listening(slow, tmp_path / "slow"):
        publish(routes, ("V", 1, [tmp_path / "slow"]))
        with pytest.raises(ClientError, match="Your invocation timed out while waiting") as error:
            invoke()
    assert code_of(error) == ("ModelError", 424)
