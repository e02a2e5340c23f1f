"""A compiled ResNet-50 behind the signed endpoint against the server that people write: requests, memory, cold start.

The photo is one of the bundled ones at the size that cameras' photos have on the web, 500 x 375 pixels and 74 KB.
Servers stay up together and are asked in turns, on all cores of the machine.
"""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from PIL import Image
from tests.clients.environments import python_of

from benchmarks import contenders, load
from benchmarks.contenders import Contender
from benchmarks.rows import Row, Unavailable, compare
from darkroom.testing.live_server import LiveServer, free_port
from darkroom.testing.live_worker import LiveWorker

ROUNDS, ROUND_S = 12, 1.5
STARTS = 7
ASKED = 20  # requests before memory is looked at
FLASK = Path(__file__).with_name("flask_peer.py")
IMAGE_URI = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
NAME = "compiled"
MXNET_ONCE = """
import sys
sys.path.insert(0, sys.argv[1])
import engines
call = engines.mxnet(sys.argv[2])
for _ in range(20):
    call()
print(int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024)
"""


def request() -> list[Row]:
    """JPEG to JSON, one client: through signature check, front door and worker, against Flask's own server."""
    with tempfile.TemporaryDirectory(prefix="requests-", ignore_cleanup_errors=True) as folder:
        contender = contenders.build(50, Path(folder))
        with _flask(contender) as (_, port), _endpoint(contender, Path(folder)) as (live, door):
            plain, signed = _request("/invocations"), _signed(live)
            times: dict[str, list[float]] = {"ours": [], "flask": []}
            for _ in range(ROUNDS):
                for name, address, body in (("ours", door, signed), ("flask", port, plain)):
                    times[name].append(load.run(address, body, 1, ROUND_S).quantile_ms(0.5))
    name = "request-resnet50v2-vs-flask-torch"
    peer = "Flask, Pillow, torch eager fp32"
    return [compare(name, times["ours"], times["flask"], peer_name=peer, unit="ms", more_is_better=False)]


def memory() -> list[Row]:
    """Resident memory after some answers: our worker with its server's cache, Flask's process, a bare mxnet process."""
    with tempfile.TemporaryDirectory(prefix="memory-", ignore_cleanup_errors=True) as folder:
        contender = contenders.build(50, Path(folder))
        sizes: dict[str, list[float]] = {"ours": [], "torch": [], "mxnet": []}
        for _ in range(3):
            sizes["ours"].append(_worker_mib(contender, Path(folder) / "cache"))
            sizes["torch"].append(_flask_mib(contender))
            with contextlib.suppress(Unavailable):
                sizes["mxnet"].append(_mxnet_mib(contender))
    peers = {"torch": "Flask, Pillow, torch eager fp32", "mxnet": "mxnet 1.9.1 Module, without a server"}
    return [
        compare(f"memory-resnet50-vs-{name}", sizes["ours"], sizes[name], peer_name=peer, unit="MiB",
                more_is_better=False)
        for name, peer in peers.items() if sizes[name]
    ]  # fmt: skip


def coldstart() -> list[Row]:
    """Start of the process to its first answer: our worker over HTTP, against a torch script that answers and ends."""
    with tempfile.TemporaryDirectory(prefix="coldstart-", ignore_cleanup_errors=True) as folder:
        contender = contenders.build(50, Path(folder))
        (Path(folder) / "photo.jpg").write_bytes(photo())
        ours, torch = [], []
        for _ in range(STARTS + 1):
            ours.append(_worker_answers_s(contender, Path(folder) / "cache"))
            torch.append(_torch_answers_s(contender, Path(folder) / "photo.jpg"))
    # The first of each fills the cache of files, and ours its own.
    name, peer = "coldstart-resnet50-vs-torch", "a script: torch eager, without a server"
    return [compare(name, ours[1:], torch[1:], peer_name=peer, unit="s", more_is_better=False)]


def photo() -> bytes:
    """JPEG, 500 x 375."""
    file = io.BytesIO()
    Image.open(io.BytesIO(next(contenders.photos()))).resize((500, 375), Image.Resampling.BICUBIC).save(
        file, "JPEG", quality=97, subsampling=0
    )
    return file.getvalue()


# Ours -----------------------------------------------------------------------------------------------


@contextmanager
def _endpoint(contender: Contender, folder: Path) -> Iterator[tuple[LiveServer, int]]:
    """A server with the compiled model behind an endpoint."""
    live = LiveServer(folder / "home").start()
    try:
        _deploy(live, contender)
        yield live, live.port
    finally:
        live.stop()


def _deploy(live: LiveServer, contender: Contender) -> None:
    s3, sagemaker = _client(live, "s3"), _client(live, "sagemaker")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for path in sorted(contender.compiled.iterdir()):
            archive.add(path, path.name)
    s3.create_bucket(Bucket=NAME)
    s3.put_object(Bucket=NAME, Key="model.tar.gz", Body=file.getvalue())
    container = {"Image": IMAGE_URI, "ModelDataUrl": f"s3://{NAME}/model.tar.gz"}
    role = "arn:aws:iam::000000000000:role/darkroom"
    sagemaker.create_model(ModelName=NAME, PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "a", "ModelName": NAME, "InitialInstanceCount": 1, "InstanceType": "ml.c5.xlarge"}
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def _client(live: LiveServer, service: str):
    keys = live.environment()
    session = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return session.client(service, endpoint_url=live.url, config=Config(proxies={}))


def _signed(live: LiveServer) -> bytes:
    """Good for a quarter of an hour."""
    keys, path = live.environment(), f"/endpoints/{NAME}/invocations"
    headers = {"Host": "127.0.0.1", "Content-Type": "application/x-image"}
    asked = AWSRequest("POST", f"http://127.0.0.1{path}", headers, photo())
    credentials = Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(asked)
    return _request(path, dict(asked.headers.items()))


def _request(path: str, headers: dict[str, str] | None = None) -> bytes:
    body = photo()
    given = {"Host": "127.0.0.1", "Content-Type": "application/x-image"} | (headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _worker_mib(contender: Contender, cache: Path) -> float:
    with contextlib.closing(LiveWorker(contender.compiled, DARKROOM_CACHE=str(cache)).ready()) as worker:
        for _ in range(ASKED):
            assert worker.invoke(photo())[0] == 200
        return worker.memory("VmRSS") / 2**20


def _worker_answers_s(contender: Contender, cache: Path) -> float:
    began = time.perf_counter()
    with contextlib.closing(LiveWorker(contender.compiled, DARKROOM_CACHE=str(cache))) as worker:
        _until_accepted(worker)
        assert worker.invoke(photo())[0] == 200
        return time.perf_counter() - began


def _until_accepted(worker: LiveWorker, deadline_s: float = 60) -> None:
    deadline = time.monotonic() + deadline_s
    while True:
        with contextlib.suppress(OSError):  # no socket yet, or nobody listens on it yet
            worker.request("GET", "/ping")
            return
        assert time.monotonic() < deadline, worker.log
        time.sleep(0.001)


# Peers ----------------------------------------------------------------------------------------------


@contextmanager
def _flask(contender: Contender) -> Iterator[tuple[psutil.Process, int]]:
    try:
        import flask  # noqa: F401
        import waitress  # noqa: F401
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed; pip install 'darkroom[dev]'") from error
    port = free_port()
    process = subprocess.Popen([sys.executable, str(FLASK), "serve", str(contender.model), str(port)], env=os.environ)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                load.run(port, _request("/invocations"), 1, 0.0)
                break
            assert time.monotonic() < deadline, "Flask did not start"
            time.sleep(0.05)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait()


def _flask_mib(contender: Contender) -> float:
    with _flask(contender) as (process, port):
        for _ in range(ASKED):
            load.run(port, _request("/invocations"), 1, 0.0)
        return process.memory_info().rss / 2**20


def _torch_answers_s(contender: Contender, path: Path) -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(FLASK), "once", str(contender.model), str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"[")
        return time.perf_counter() - began


def _mxnet_mib(contender: Contender) -> float:
    """Raises Unavailable where mxnet cannot be installed."""
    try:
        python = python_of("mxnet")
    except Exception as error:
        raise Unavailable(f"mxnet: {error}") from error
    command = [str(python), "-c", MXNET_ONCE, str(Path(__file__).parent), str(contender.model)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
