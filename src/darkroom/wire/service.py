"""One AWS service: finds the operation of a request, reads its parameters, calls the handler, writes the answer.

Knows the models and the protocols; what a handler does is not its business. Faults of handlers become 500s here, with
their traceback in the log and nothing of it in the answer.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from darkroom.wire.json_rpc import JsonRpc
from darkroom.wire.messages import Body, Call, Caller, Request, Response, ServiceError
from darkroom.wire.models import Model, model
from darkroom.wire.operations import Bound
from darkroom.wire.query import Query
from darkroom.wire.rest import RestJson, RestXml
from darkroom.wire.validate import validate

T = TypeVar("T")
InThread = Callable[[Callable[[], T]], Awaitable[T]]  # runs a blocking function elsewhere
Protocol = JsonRpc | Query | RestJson | RestXml

PROTOCOLS: dict[str, type[Protocol]] = {"json": JsonRpc, "query": Query, "rest-json": RestJson, "rest-xml": RestXml}
REFERENCE = "docs/reference/operations.md lists what is"
BODY_LIMIT = 8 * 2**20  # bytes of a body that is read whole; AWS's own documents stay below 2 MiB
INTERNAL = ServiceError("InternalError", "We encountered an internal error. Please try again.", 500)
log = logging.getLogger(__name__)


class Service:
    """``handlers`` by snake_case operation name. ``protocols`` are those of the model that are spoken, first one first.

    ``too_large`` is the text for a body over ``body_limit`` bytes.
    """

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Bound],
        protocols: Sequence[str] = (),
        body_limit: int = BODY_LIMIT,
        too_large: str = "",
    ) -> None:
        self.name, self.body_limit = name, body_limit
        self.too_large = too_large or f"Request body is larger than {body_limit} bytes."
        self._handlers = dict(handlers)
        self._asynchronous = {n: inspect.iscoroutinefunction(handler) for n, handler in handlers.items()}
        self._spoken = tuple(protocols)

    @cached_property
    def model(self) -> Model:
        return model(self.name)

    @cached_property
    def _protocols(self) -> dict[str, Protocol]:
        offered = self._spoken or self.model.metadata.get("protocols") or [self.model.metadata["protocol"]]
        return {name: PROTOCOLS[name](self.model) for name in offered if name in PROTOCOLS}

    @cached_property
    def _first(self) -> Protocol:
        return next(iter(self._protocols.values()))

    @cached_property
    def _query(self) -> Protocol | None:
        return self._protocols.get("query")

    @cached_property
    def _by_operation(self) -> dict[str, tuple[Bound, bool]]:
        """(handler, asynchronous) by AWS name."""
        unknown = self._handlers.keys() - self.model.names.keys()
        assert not unknown, f"{self.name} has no operations {sorted(unknown)}"
        return {self.model.names[n]: (handler, self._asynchronous[n]) for n, handler in self._handlers.items()}

    @property
    def offered(self) -> frozenset[str]:
        """Names of the operations that have a handler."""
        return frozenset(self._by_operation)

    def protocol(self, request: Request) -> Protocol:
        """The one this request speaks, where a service speaks several."""
        query = self._query
        return self._first if query is None or "x-amz-target" in request.headers else query

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> Response:
        return self.protocol(request).refuse(error, request, request_id)

    async def answer(
        self, request: Request, data: bytes | None, caller: Caller, request_id: str, in_thread: InThread[Response]
    ) -> Response:
        """The answer, whatever happens. ``data`` is the whole body where it had to be read to check its signature."""
        protocol = self.protocol(request)
        try:
            return await self._answer(protocol, request, data, caller, request_id, in_thread)
        except ServiceError as error:
            return protocol.refuse(error, request, request_id)
        except Exception:
            log.exception("request %s to %s failed", request_id, self.name)
            return protocol.refuse(INTERNAL, request, request_id)

    async def _answer(
        self,
        protocol: Protocol,
        request: Request,
        data: bytes | None,
        caller: Caller,
        request_id: str,
        in_thread: InThread[Response],
    ) -> Response:
        operation, context = protocol.find(request, data or b"")
        found = self._by_operation.get(operation.name)
        if found is None:
            raise protocol.not_offered(f"{operation.name} is not offered by Darkroom; {REFERENCE}.")
        handler, asynchronous = found
        body: Any = data
        if data is None:
            body = request.body if operation.has_streaming_input else await self.read(request.body)
        params = protocol.parse(operation, context, request, body)  # type: ignore[arg-type]
        if wrong := validate(operation.input_shape, params):
            raise protocol.invalid(wrong)
        call = Call(operation.name, params, caller, request, request_id)

        def finish(result: Any) -> Response:
            if isinstance(result, Response):
                result.headers = protocol.identify(request_id) | result.headers
                return result
            return protocol.serialise(operation, result or {}, request, request_id)

        if asynchronous:
            return finish(await handler(call))  # type: ignore[misc]
        return await in_thread(lambda: finish(handler(call)))

    async def read(self, body: Body) -> bytes:
        """A body whole. Raises ServiceError (413) past the service's limit."""
        try:
            return await body.read(self.body_limit)
        except ServiceError as error:
            if error.status != 413:
                raise
            raise ServiceError(error.code, self.too_large, 413) from None
