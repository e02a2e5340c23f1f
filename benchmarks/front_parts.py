"""The processes a front-door measurement needs: ``python -m benchmarks.front_parts worker|door …``.

The worker answers every POST with one number and does nothing else. The door is Darkroom's front with that one worker
behind one endpoint, metrics included.
"""

import random
import sys
from pathlib import Path

import uvicorn

from darkroom.control.routes import Route, Routes, Variant
from darkroom.services import runtime
from darkroom.telemetry.invocations import InvocationMeter
from darkroom.telemetry.metrics import MetricStore
from darkroom.wire.front import Front
from darkroom.wire.listener import SERVER
from darkroom.wire.sigv4 import Verifier

ENDPOINT, KEY, SECRET = "bench", "AKBENCH", "secret-of-the-benchmark"
ANSWER = b"[1.0]"


async def worker(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def door(socket: Path) -> Front:
    routes = Routes()
    routes.publish(Route(ENDPOINT, (Variant("AllTraffic", 1.0, (socket,)),)))
    meter = InvocationMeter(MetricStore(socket.with_name("metrics.sqlite")))
    part = runtime.Runtime(routes, meter, random.random, "000000000000", 6 * 2**20)
    return Front({"sagemaker-runtime": runtime.service(part)}, Verifier({KEY: SECRET}.get))


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        uvicorn.run(worker, uds=sys.argv[2], http="httptools", loop="uvloop", lifespan="off", log_level="warning")
    else:
        uvicorn.run(door(Path(sys.argv[2])), port=int(sys.argv[3]), **SERVER)
