"""Composition root: settings → parts → one front door → one server. The only file that knows all parts.

``python -m darkroom.app`` serves with the settings of the environment until SIGTERM.
"""

import logging
import random
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, cast

import uvicorn

from darkroom import __version__, client_files, identity, instance
from darkroom.control.plane import Control
from darkroom.control.routes import Routes
from darkroom.control.store.queries import Store
from darkroom.errors import DarkroomError
from darkroom.executors.local import LocalExecutor
from darkroom.objects.base import ObjectStore
from darkroom.objects.blobs import sync_folder
from darkroom.objects.local import LocalStore
from darkroom.services import cloudwatch, ecr, iam, logs, runtime, sts
from darkroom.services.s3 import service as s3
from darkroom.services.s3.part import S3Part
from darkroom.services.sagemaker import service as sagemaker
from darkroom.settings import Settings, load
from darkroom.telemetry.invocations import InvocationMeter
from darkroom.telemetry.logs import LogStore
from darkroom.telemetry.metrics import MetricStore
from darkroom.wire.front import Front
from darkroom.wire.listener import SERVER
from darkroom.wire.service import Service
from darkroom.wire.sigv4 import Verifier

FLUSH_EVERY_S = 2.0
WORKER_GRACE_S = 10.0  # for requests in flight when the server is stopped
log = logging.getLogger("darkroom")


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """A platform at rest: ``front`` answers requests; ``start`` sets the loops going, ``close`` ends them."""

    front: Front
    control: Control
    executor: LocalExecutor
    meter: InvocationMeter
    closing: threading.Event

    def start(self) -> None:
        self.control.start()
        threading.Thread(target=self._flush, name="meter", daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.control.close()
        self.executor.dismiss_workers(WORKER_GRACE_S)
        self.executor.close()
        self.meter.flush()

    def _flush(self) -> None:
        while not self.closing.wait(FLUSH_EVERY_S):
            try:
                self.meter.flush()
            except Exception:
                log.exception("invocation metrics could not be written; the next flush follows")


def build(settings: Settings, now: Callable[[], datetime] = utc_now) -> Parts:
    """Every part, wired. Raises DarkroomError for settings that cannot be served."""
    home, account = settings.home, settings.account
    objects = _object_store(settings, now)
    log_store, metrics = LogStore(home / "logs"), MetricStore(home / "metrics.sqlite")
    executor = LocalExecutor(home / "tasks", objects, log_store, isolation=settings.isolation, now=now)
    routes, meter = Routes(), InvocationMeter(metrics)
    store = Store(home / "control.sqlite", now())
    control = Control(store, executor, objects, log_store, metrics, routes, settings, now)
    inference = runtime.Runtime(routes, meter, random.random, account, settings.max_payload_bytes)
    services = {
        "s3": Service("s3", s3.handlers(S3Part(objects, account, settings.region, now))),
        "sagemaker": sagemaker.service(control),
        "sagemaker-runtime": runtime.service(inference),
        "logs": Service("logs", logs.LOGS.bind(logs.Logs(log_store, account, now))),
        "cloudwatch": Service("cloudwatch", cloudwatch.CLOUDWATCH.bind(cloudwatch.CloudWatch(metrics, now))),
        "sts": Service("sts", sts.STS.bind(account)),
        "iam": Service("iam", iam.IAM.bind(account)),
        "ecr": Service("ecr", ecr.ECR.bind(account)),
    }
    verifier = Verifier(identity.load_or_create(home).secret_of, now)
    return Parts(Front(services, verifier, __version__), control, executor, meter, threading.Event())


def _object_store(settings: Settings, now: Callable[[], datetime]) -> ObjectStore:
    if not settings.s3_endpoint:
        return LocalStore(settings.home / "objects", now)
    # botocore's client half costs a quarter of a second at start: only those who need it pay.
    from darkroom.objects.external import ExternalStore  # noqa: PLC0415

    return ExternalStore(settings.s3_endpoint, settings.s3_key, settings.s3_secret, spool=settings.home / "spool")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises Conflict where another server holds the home folder."""
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it is done: close, then end
        signal.signal(number, _exit)
    with instance.claim(settings):
        client_files.write(settings)
        parts = build(settings)
        for folder in (settings.home / "tasks", settings.home, settings.home.parent):
            sync_folder(folder)  # what is acknowledged from here on must not go with a folder above it
        parts.start()
        try:
            config = uvicorn.Config(cast(Any, parts.front), host=settings.host, port=settings.port, **SERVER)
            uvicorn.Server(config).run()
        finally:
            parts.close()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    settings = load()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        serve(settings)
    except DarkroomError as error:
        print(f"darkroom: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # read-only, no room, not ours, no folder
        said = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        print(f"darkroom: {settings.home} cannot be the home folder of a server ({said}); ", end="", file=sys.stderr)
        print("set DARKROOM_HOME to a folder that can be written to", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
