"""SageMaker Runtime: InvokeEndpoint, from the front door straight to a worker's socket.

Decides which worker answers and says container errors in AWS's words; a picture is bytes to it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from darkroom.control.routes import Routes, Variant, choose
from darkroom.errors import Invalid, NotFound, Unavailable
from darkroom.telemetry.invocations import InvocationMeter
from darkroom.wire.forward import BrokeOff, Forwarder, NothingAnswered, TookTooLong, Unreachable
from darkroom.wire.messages import Call, Response, ServiceError
from darkroom.wire.operations import Operations
from darkroom.wire.service import Service

RUNTIME = Operations("sagemaker-runtime")
WAIT_FOR_WORKER_S = 5.0  # for a new one, after the last one died
POLL_S = 0.05
MAX_SHOWN = 1024  # characters of a container's answer that an error repeats
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
OCTETS = "application/octet-stream"
PASSED = {  # members of the request → headers of the container's request
    "ContentType": "content-type",
    "Accept": "accept",
    "CustomAttributes": ATTRIBUTES,
    "InferenceId": "x-amzn-sagemaker-inference-id",
}


@dataclass(frozen=True)
class Runtime:
    """What InvokeEndpoint works on. ``draw`` is uniform in [0, 1)."""

    routes: Routes
    meter: InvocationMeter
    draw: Callable[[], float]
    account: str
    max_payload_bytes: int
    forwarder: Forwarder = field(default_factory=Forwarder)
    clock: Callable[[], float] = time.perf_counter
    turns: Iterator[int] = field(default_factory=count)  # whose turn it is among the workers of a variant


def service(part: Runtime) -> Service:
    limit = part.max_payload_bytes
    return Service(
        "sagemaker-runtime",
        RUNTIME.bind(part),
        body_limit=limit,
        too_large=f"HTTP content length exceeded {limit} bytes. Send a smaller picture, or raise the setting "
        "max_payload_bytes (DARKROOM_MAX_PAYLOAD_BYTES) of the server.",
    )


NOT_OFFERED = {
    "TargetModel": "multi-model endpoints are",
    "TargetContainerHostname": "multi-container endpoints are",
    "InferenceComponentName": "inference components are",
    "SessionId": "stateful sessions are",
    "EnableExplanations": "online explanations are",
}
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container {variant}. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


@RUNTIME
async def invoke_endpoint(part: Runtime, call: Call) -> Response:
    started, endpoint = part.clock(), call.params["EndpointName"]
    variant = _variant(part, call, endpoint)
    try:
        status, headers, body, model_s = await _ask(part, call, endpoint, variant.name)
    except ServiceError as error:
        part.meter.count(endpoint, variant.name, error.status, 0.0, part.clock() - started)
        raise
    part.meter.count(endpoint, variant.name, status, model_s, part.clock() - started - model_s)
    answer = {"content-type": headers.get("content-type", OCTETS), "x-amzn-invoked-production-variant": variant.name}
    if ATTRIBUTES in headers:
        answer[ATTRIBUTES] = headers[ATTRIBUTES]
    return Response(200, answer, body)  # written here and not from members: this runs for every picture


def _variant(part: Runtime, call: Call, endpoint: str) -> Variant:
    if unknown := NOT_OFFERED.keys() & call.params.keys():
        member = min(unknown)
        what = NOT_OFFERED[member]
        raise ServiceError("ValidationError", f"{member} has no meaning here: {what} not offered by Darkroom.")
    try:
        return choose(part.routes.find(endpoint), part.draw(), call.params.get("TargetVariant"))
    except NotFound:
        raise ServiceError("ValidationError", f"Endpoint {endpoint} of account {part.account} not found.") from None
    except Invalid as error:
        raise ServiceError("ValidationError", str(error)) from None
    except Unavailable as error:
        raise ServiceError("ServiceUnavailable", str(error), 503) from None


async def _ask(part: Runtime, call: Call, endpoint: str, variant: str) -> tuple[int, dict[str, str], bytes, float]:
    """(status, headers, body, seconds in the model). A worker that dies before it answers is replaced once."""
    headers = {header: call.params[member] for member, header in PASSED.items() if member in call.params}
    body, failed, sent = call.params["Body"], set[Path](), 0
    deadline = part.clock() + WAIT_FOR_WORKER_S
    while sent < 2:
        worker = _worker(part, endpoint, variant, failed)
        if worker is None:
            if part.clock() > deadline:
                break
            await asyncio.sleep(POLL_S)
            failed.clear()  # a new worker may listen where the old one did
            continue
        asked = part.clock()
        try:
            status, answered, content = await part.forwarder.forward(worker, "POST", "/invocations", headers, body)
        except Unreachable:
            failed.add(worker)
        except NothingAnswered:
            failed.add(worker)
            sent += 1
        except BrokeOff as error:
            raise _unavailable(endpoint, variant, f"broke off its answer ({error})") from None
        except TookTooLong:
            raise _model_error(part, call, variant, 0, TIMED_OUT.format(variant=variant)) from None
        else:
            if status >= 300:
                raise _model_error(part, call, variant, status, content.decode("utf-8", "replace"))
            return status, answered, content, part.clock() - asked
    raise _unavailable(endpoint, variant, "died twice with this request" if sent else "has no worker that answers")


def _worker(part: Runtime, endpoint: str, variant: str, failed: set[Path]) -> Path | None:
    """The socket to ask next: workers take turns, those that just failed are passed over."""
    try:
        route = part.routes.find(endpoint)
    except NotFound:  # deleted meanwhile
        raise ServiceError("ValidationError", f"Endpoint {endpoint} of account {part.account} not found.") from None
    for candidate in route.variants:
        if candidate.name == variant:
            ready = [s for s in candidate.sockets if s not in failed] if failed else candidate.sockets
            return ready[next(part.turns) % len(ready)] if ready else None
    return None


def _model_error(part: Runtime, call: Call, variant: str, status: int, text: str) -> ServiceError:
    """The container's own error: always 424, which clients do not retry."""
    group = f"/aws/sagemaker/Endpoints/{call.params['EndpointName']}"
    side = "client" if 400 <= status < 500 else "server"
    return ServiceError(
        "ModelError",
        f'Received {side} error ({status}) from {variant} with message "{text[:MAX_SHOWN]}". '
        f"See the log group {group} in account {part.account} for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=text[:MAX_SHOWN],
        LogStreamArn=f"arn:aws:logs:{call.caller.region}:{part.account}:log-group:{group}",
    )


def _unavailable(endpoint: str, variant: str, what: str) -> ServiceError:
    """503: clients send such a request again."""
    return ServiceError("ServiceUnavailable", f"Variant {variant} of endpoint {endpoint} {what}; try again.", 503)
