"""The front door of every AWS service: finds the service, proves the caller, hands the request over.

Routes by the service in the signature's scope; what nothing is signed for is S3's, where buckets may be public.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from darkroom.wire import json_body
from darkroom.wire.addressing import FORM, service_of, virtual_bucket
from darkroom.wire.messages import Request, Response, ServiceError
from darkroom.wire.payload import checked, gunzipped
from darkroom.wire.refusals import Reason, refusal
from darkroom.wire.service import INTERNAL, REFERENCE, Service
from darkroom.wire.sigv2 import hoisted
from darkroom.wire.sigv4 import Verifier
from darkroom.wire.xml_body import DECLARATION, escape

HEALTH = "/_darkroom/health"
HANDLER_THREADS = 32
FORESEEN_BYTES = 64 * 1024  # of a body: from here on it is worth a look at who sends it before it is read
READING = ("GET", "HEAD")  # all that somebody unknown may do
log = logging.getLogger(__name__)


def random_request_id() -> str:
    """128 bits in the shape of a UUID."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Front:
    """``services`` by botocore's name. ``hosts`` are names of ours below which a label is a bucket."""

    def __init__(
        self,
        services: Mapping[str, Service],
        verifier: Verifier,
        version: str = "",
        hosts: Sequence[str] = ("localhost",),
        request_id: Callable[[], str] = random_request_id,
    ) -> None:
        self._services, self._verifier, self._version = dict(services), verifier, version
        self._hosts, self._request_id = tuple(hosts), request_id
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, "service")

    async def respond(self, request: Request) -> Response:
        """The answer to any request, whatever happens."""
        return self._health() if request.path == HEALTH else await self._answer(request)

    def _health(self) -> Response:
        body = json_body.dumps({"status": "ok", "version": self._version, "pid": os.getpid()})
        return Response(200, {"content-type": "application/json"}, body)

    async def _answer(self, request: Request) -> Response:
        request_id = self._request_id()
        name = service_of(request)
        service = self._services.get(name)
        if service is None:
            return _unknown_service(name, request, request_id)
        try:
            if name == "s3":
                return await self._s3(service, request, request_id)
            return await self._buffered(service, request, request_id)
        except ServiceError as error:
            return service.refuse(error, request, request_id)
        except Exception:
            log.exception("request %s to %s failed before it reached its handler", request_id, name)
            return service.refuse(INTERNAL, request, request_id)

    async def _buffered(self, service: Service, request: Request, request_id: str) -> Response:
        """Services whose signatures cover the whole body."""
        kind = service.protocol(request).kind
        if "authorization" not in request.headers and "X-Amz-Signature" not in request.raw_query:
            raise refusal(kind, Reason.MISSING)
        if (request.body.length or FORESEEN_BYTES) >= FORESEEN_BYTES:
            self._verifier.foresee(request, kind)
        data = await service.read(request.body)
        proof = self._verifier.verify(request, kind, sha256(data).hexdigest())
        if request.headers.get("content-encoding") == "gzip":
            data = gunzipped(data, service.body_limit)
        return await service.answer(request, data, proof.caller, request_id, self._in_thread)

    async def _s3(self, service: Service, request: Request, request_id: str) -> Response:
        bucket = virtual_bucket(request.headers.get("host", ""), self._hosts)
        path = f"/{quote(bucket)}{request.path}" if bucket else request.path
        proof = self._verifier.verify(request, "s3", resource=path)
        if proof.caller.anonymous and request.method not in READING:  # nor is what it sent looked at
            raise refusal("s3", Reason.MISSING)
        request.path = path
        if "authorization" not in request.headers and not proof.caller.anonymous:
            request.headers = hoisted(request)
        request.body = checked(request, proof)
        return await service.answer(request, None, proof.caller, request_id, self._in_thread)

    def _in_thread(self, function: Callable[[], Response]) -> Any:
        return asyncio.get_running_loop().run_in_executor(self._threads, function)


def _unknown_service(name: str, request: Request, request_id: str) -> Response:
    """Whatever protocol the client speaks, it gets something it can read."""
    code = "UnknownOperationException"
    text = f"The service {name!r} is not offered by Darkroom; {REFERENCE}."
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": code}
    if request.headers.get("content-type", "").startswith(FORM):
        error = f"<Code>{code}</Code><Message>{escape(text)}</Message>"
        body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        return Response(400, {"content-type": "text/xml"} | headers, (DECLARATION + body).encode())
    answer = json_body.dumps({"__type": code, "message": text})
    return Response(400, {"content-type": "application/json"} | headers, answer)
