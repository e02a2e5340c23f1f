import contextlib
import json
import re
import signal
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from darkroom.imaging.decode import MEMORY
from darkroom.serving.eager import Eager
from darkroom.serving.predictor import predict
from darkroom.testing.live_worker import LiveWorker
from tests.imaging.pictures import (
    NASTY,
    blocks,
    file_of,
    huge_headers,
    needs_nasty,
    png_of_text,
    png_of_zeros,
    progressive_bomb,
    scene,
)
from tests.serving import models

pytestmark = pytest.mark.slow

MIB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def worker(folder):
    with contextlib.closing(LiveWorker(folder)) as worker:
        yield worker.ready()


@pytest.fixture(scope="module")
def predictor(folder):
    return Eager.load(folder)


def photo(seed: int) -> bytes:
    return file_of(blocks(90, 120, seed), "JPEG", quality=95)


def test_answers_are_the_predictors_bit_for_bit(worker, predictor):
    for seed in range(8):
        status, kind, body = worker.invoke(photo(seed))
        assert (status, kind) == (200, "application/json")
        assert np.array(json.loads(body), np.float32).tobytes() == predict(predictor, photo(seed)).tobytes()


@needs_nasty
def test_answers_on_phone_photos_are_the_predictors_bit_for_bit(worker, predictor):
    for path in sorted(NASTY.glob("exif-orientation__*.jpg")):
        body = worker.invoke(path.read_bytes())[2]
        assert np.array(json.loads(body), np.float32).tobytes() == predict(predictor, path.read_bytes()).tobytes()


def test_accept_decides_the_form(worker):
    _, kind, body = worker.invoke(photo(1), accept="application/jsonlines;verbose")
    answer = json.loads(body)
    assert kind == "application/jsonlines"
    assert answer["labels"] == list(models.CLASSES)
    assert answer["predicted_label"] == models.CLASSES[int(np.argmax(answer["probabilities"]))]
    assert json.loads(worker.invoke(photo(1))[2]) == answer["probabilities"]


@pytest.mark.parametrize(
    "declared", ["image/jpeg", "image/png", "application/octet-stream", "application/json", "application/x-npy"]
)
def test_an_odd_content_type_is_no_obstacle(worker, declared):
    assert worker.invoke(photo(1), declared)[0] == 200


def test_refusals_say_why(worker):
    assert worker.invoke(b"1,2,3", "text/csv")[::2] == (
        415,
        b"ClientError: Content type 'text/csv' is not supported for a body that is no image. Accepted content types"
        b" are: application/x-image, image/jpeg, image/png; the body is one image file (JPEG, PNG, GIF, WEBP, BMP,"
        b" TIFF, AVIF). Arrays are taken as application/x-npy, application/vnd+python.numpy+binary, application/json",
    )
    assert worker.invoke(photo(1)[:-600])[::2] == (
        400,
        b"ClientError: unable to evaluate payload provided: this JPEG is truncated: the file ends before its picture"
        b" does; send the whole file",
    )
    assert worker.invoke(photo(1), accept="text/csv")[0] == 406
    assert worker.request("GET", "/invocations")[0] == 404
    assert "Customer Error: unable to evaluate payload provided: this JPEG is truncated" in worker.log


def test_an_empty_body_is_a_bad_image(worker):
    assert worker.invoke(b"")[::2] == (
        400,
        b"ClientError: unable to evaluate payload provided: there are no bytes; send the bytes of one image file",
    )


def test_the_log_has_an_access_line(worker):
    worker.invoke(photo(3), user_agent="AHC/2.0")
    deadline = time.monotonic() + 30
    while not re.search(r'"POST /invocations HTTP/1.1" 200 .*"AHC/2.0"', worker.log):  # written after the answer
        assert time.monotonic() < deadline, worker.log
        time.sleep(0.01)
    assert worker.log.startswith("Docker entrypoint called with argument(s): serve\n")
    assert "ResNet-20 after 3 epoch(s), 10 classes" in worker.log


def test_the_socket_is_its_owners_alone(worker):
    assert stat.S_IMODE(worker.socket.stat().st_mode) == 0o600


def test_batch_transform_may_ask_for_limits(worker):
    answer = json.loads(worker.request("GET", "/execution-parameters")[2])
    assert answer["BatchStrategy"] == "SINGLE_RECORD"
    assert answer["MaxPayloadInMB"] == 6


def test_many_clients_each_get_their_own_answer(worker, predictor):
    expected = {seed: predict(predictor, photo(seed))[0].tolist() for seed in range(6)}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: (k % 6, json.loads(worker.invoke(photo(k % 6))[2])), range(60)))
    assert all(answer == expected[seed] for seed, answer in answers)


def test_a_client_that_hangs_up_harms_nobody(worker):
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(worker.socket))
            client.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + photo(1)[:500])
    assert worker.invoke(photo(1))[0] == 200


def nasty_requests() -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in sorted(NASTY.iterdir())} if NASTY.is_dir() else {}
    made = {f"huge {name}": data for name, data in huge_headers().items()}
    made |= {
        "text bomb": png_of_text(100 * MIB),
        "scans": progressive_bomb(1000, 300),
        "pixels": png_of_zeros(7000, 7000),
    }
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        whole = file_of(scene(), kind)
        made |= {f"{share} % of {kind}": whole[: len(whole) * share // 100] for share in range(0, 101, 10)}
    return files | made


def test_nothing_nasty_crashes_hangs_or_swells_it(folder):
    """One worker takes them all, each within a deadline, with one sentence for what is no picture."""
    with contextlib.closing(LiveWorker(folder).ready()) as worker:
        worker.invoke(photo(1))
        before = worker.memory()
        for name, data in nasty_requests().items():
            status, _, body = worker.invoke(data)  # the connection's timeout is the deadline
            assert status in (200, 400), (name, status, body)
            assert status == 200 or (body.startswith(b"ClientError: ") and b"\n" not in body), (name, body)
        assert worker.invoke(photo(1))[0] == 200
        assert "Traceback" not in worker.log
        assert worker.memory() - before < MEMORY.size_bytes
        assert worker.stop() == 0


def test_sigterm_finishes_the_request_in_flight_and_exits_0(folder):
    with contextlib.closing(LiveWorker(folder).ready()) as worker, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(worker.socket))
        head = (
            f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo(1))}\r\nExpect: 100-continue\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100")  # it waits for the body now
        worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while _accepts(worker) and time.monotonic() < deadline:
            time.sleep(0.01)
        client.sendall(photo(1))
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert worker.process.wait(30) == 0
        assert not worker.socket.exists()
        assert worker.log.rstrip().endswith("Stopped")


def _accepts(worker: LiveWorker) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(worker.socket))
        except OSError:
            return False
        return True


def test_limits_and_defaults_come_from_the_environment(folder):
    limits = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1", "SAGEMAKER_BATCH": "true"}
    with contextlib.closing(LiveWorker(folder, **limits)) as worker:
        with socket.socket(socket.AF_UNIX) as stale, contextlib.suppress(OSError):
            stale.bind(str(worker.socket))  # as a worker that crashed leaves it
        worker.ready()
        assert set(json.loads(worker.invoke(photo(1))[2])) == {"prediction"}
        status, _, body = worker.invoke(bytes(MIB + 1))
        assert (status, body) == (
            413,
            b"ClientError: the body is larger than 1048576 bytes, the most that this model takes",
        )

        def parts():
            for _ in range(40):
                yield bytes(MIB // 32)

        assert worker.request("POST", "/invocations", parts())[0] == 413


def test_without_a_socket_it_listens_on_the_port_of_the_contract(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    worker = LiveWorker(folder, DARKROOM_SOCKET="", SAGEMAKER_BIND_TO_PORT=str(port))
    with contextlib.closing(worker):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert client.recv(1000).startswith(b"HTTP/1.1 200")
                    break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("environ", "reason"),
    [({}, "holds no image-classification-NNNN.params"), ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "six"}, "six")],
)
def test_what_cannot_be_served_exits_2_and_says_so(folder, tmp_path, environ, reason):
    with contextlib.closing(LiveWorker(folder if environ else tmp_path, **environ)) as worker:
        assert worker.process.wait(60) == 2
        failure = (worker.base / "output" / "failure").read_text()
        assert failure.startswith("ClientError: ")
        assert reason in failure
        assert "\n" not in failure
        assert f"Customer Error: {failure.removeprefix('ClientError: ')}" in worker.log
        assert not worker.socket.exists()


def test_the_port_is_taken(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with contextlib.closing(LiveWorker(folder, DARKROOM_SOCKET="", SAGEMAKER_BIND_TO_PORT=port)) as worker:
            assert worker.process.wait(60) == 2
            assert "in use" in (worker.base / "output" / "failure").read_text()
