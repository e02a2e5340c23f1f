"""The REST protocols: members bound to path, query string and headers, and one JSON or XML body each way."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from botocore.model import OperationModel, Shape

from darkroom.wire import json_body, xml_body
from darkroom.wire.messages import Body, FileSlice, Request, Response, ServiceError
from darkroom.wire.models import Model, body_members, wire_name
from darkroom.wire.routing import Labels, Router
from darkroom.wire.scalars import Malformed, decode_text, encode_text

Place = tuple[str, str, Shape, bool]  # (wire name, member, shape, whether it is plain text)


@dataclass(frozen=True)
class Binding:
    """Where the members of one structure travel."""

    labels: tuple[Place, ...]
    queries: tuple[Place, ...]
    headers: tuple[Place, ...]
    prefixes: tuple[Place, ...]  # maps spread over all headers that start with the name
    status: str | None  # member that is the HTTP status
    payload: tuple[str, Shape] | None  # the member that is the whole body
    in_body: bool  # other members make the body


@cache
def binding(shape: Shape) -> Binding:
    located: dict[str, list[Place]] = {}
    for member, s in shape.members.items():
        name = wire_name(s, member)
        location = s.serialization.get("location")
        place = name.lower() if location == "header" else name, member, s, s.type_name == "string"
        located.setdefault(location, []).append(place)
    payload = shape.serialization.get("payload")
    return Binding(
        labels=tuple(located.get("uri", ())),
        queries=tuple(located.get("querystring", ())),
        headers=tuple(located.get("header", ())),
        prefixes=tuple(located.get("headers", ())),
        status=next((member for _, member, *_ in located.get("statusCode", ())), None),
        payload=(payload, shape.members[payload]) if payload else None,
        in_body=not payload and bool(body_members(shape)),
    )


class Rest:
    """What REST-JSON and REST-XML share."""

    kind = "rest"
    malformed = "SerializationException"

    def __init__(self, model: Model) -> None:
        self.model = model

    @cached_property
    def router(self) -> Router:
        return Router([self.model.operation(name) for name in sorted(self.model.operations)])

    def find(self, request: Request, data: bytes) -> tuple[OperationModel, Labels]:
        """Raises ServiceError where no operation has this method and path."""
        try:
            found = self.router.find(
                request.method, request.path, dict(request.query) if request.query else {}, request.headers
            )
        except Malformed:
            raise ServiceError("InvalidURI", "Couldn't parse the specified URI.") from None
        if found is None:
            raise self.unknown(request)
        return found

    def parse(self, operation: OperationModel, context: Labels, request: Request, data: bytes | Body) -> dict[str, Any]:
        """Members by name; a streaming payload stays the Body it is. Raises ServiceError."""
        if operation.input_shape is None:
            return {}
        bound = binding(operation.input_shape)
        try:
            params = self._located(bound, context, request)
        except Malformed as fault:
            raise self.misplaced(fault) from None
        try:
            self._read_body(bound, operation.input_shape, data, params)
        except Malformed as fault:
            raise ServiceError(self.malformed, self.malformed_text(fault)) from None
        return params

    def _located(self, bound: Binding, labels: Labels, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {member: decode_text(s, labels[name]) for name, member, s, _ in bound.labels}
        if bound.queries and request.query:
            _collect(bound.queries, dict(request.query), found)
        _collect(bound.headers, request.headers, found)
        for prefix, member, *_ in bound.prefixes:
            start = prefix.lower()
            if spread := {k[len(start) :]: v for k, v in request.headers.items() if k.startswith(start)}:
                found[member] = spread
        return found

    def _read_body(self, bound: Binding, shape: Shape, data: bytes | Body, params: dict[str, Any]) -> None:
        if bound.payload is not None:
            member, s = bound.payload
            if s.type_name == "blob":
                params[member] = data
            elif s.type_name == "string" and data:
                params[member] = _utf8(data)
            elif data:
                params[member] = self.decode_body(s, data)
        elif bound.in_body:
            params |= self.decode_body(shape, data)

    def serialise(
        self, operation: OperationModel, result: dict[str, Any], request: Request, request_id: str
    ) -> Response:
        answer = Response(operation.http.get("responseCode", 200), self.identify(request_id))
        shape = operation.output_shape
        if shape is None:
            return answer
        bound = binding(shape)
        self._write_located(bound, result, answer)
        if bound.payload is not None:
            member, s = bound.payload
            self._write_payload(s, result.get(member), answer)
        elif bound.in_body:
            answer.body = self.encode_body(shape, result, shape.serialization.get("name") or shape.name)
            answer.headers.setdefault("content-type", self.content_type)
        return answer

    def _write_located(self, bound: Binding, result: dict[str, Any], answer: Response) -> None:
        for name, member, s, is_text in bound.headers:
            if (value := result.get(member)) is not None:
                answer.headers[name] = value if is_text else _encode_located(s, value)
        for prefix, member, *_ in bound.prefixes:
            answer.headers |= {(prefix + k).lower(): str(v) for k, v in (result.get(member) or {}).items()}
        if bound.status and result.get(bound.status) is not None:
            answer.status = int(result[bound.status])
        elif "content-range" in answer.headers:
            answer.status = 206  # RFC 9110, 15.3.7: the body is the part that Content-Range names

    def _write_payload(self, shape: Shape, value: Any, answer: Response) -> None:
        if value is None:
            return
        if shape.type_name == "structure":
            answer.body = self.encode_body(shape, value, wire_name(shape, shape.name))
            answer.headers.setdefault("content-type", self.content_type)
        elif isinstance(value, bytes | FileSlice | AsyncIterator):
            answer.body = value
        else:
            answer.body = str(value).encode()

    # What the two differ in.
    content_type = "application/json"

    def unknown(self, request: Request) -> ServiceError:
        return ServiceError("UnknownOperationException", f"no operation is {request.method} {request.path}", 404)

    def misplaced(self, fault: Malformed) -> ServiceError:
        return ServiceError(self.malformed, str(fault))

    def malformed_text(self, fault: Malformed) -> str:
        return str(fault)

    def identify(self, request_id: str) -> dict[str, str]:
        return {"x-amzn-requestid": request_id}

    def decode_body(self, shape: Shape, data: Any) -> Any:
        return json_body.decode(shape, json_body.loads(data))

    def encode_body(self, shape: Shape, value: Any, tag: str) -> bytes:
        return json_body.dumps(json_body.encode(shape, value))

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> Response:
        name, _, status, _ = self.model.error(error.code)
        headers = self.identify(request_id) | {"content-type": "application/json", "x-amzn-errortype": name}
        body = {"__type": name, "message": error.message, "Message": error.message} | error.extra
        return Response(status or error.status, headers | error.headers, json_body.dumps(body))

    def invalid(self, text: str) -> ServiceError:
        return ServiceError("ValidationError", text)

    def not_offered(self, text: str) -> ServiceError:
        return ServiceError("UnknownOperationException", text)


class RestJson(Rest):
    kind = "json"


class RestXml(Rest):
    """S3's words for errors, since S3 is the only REST-XML service here."""

    kind = "s3"
    malformed = "MalformedXML"
    content_type = "application/xml"

    def unknown(self, request: Request) -> ServiceError:
        return ServiceError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)

    def misplaced(self, fault: Malformed) -> ServiceError:
        return ServiceError("InvalidArgument", str(fault))

    def malformed_text(self, fault: Malformed) -> str:
        return f"The XML you provided was not well-formed or did not validate against our published schema ({fault})"

    def identify(self, request_id: str) -> dict[str, str]:
        return {"x-amz-request-id": request_id, "x-amz-id-2": request_id}

    def decode_body(self, shape: Shape, data: Any) -> Any:
        return xml_body.decode(shape, xml_body.loads(data)) if data and not data.isspace() else {}

    def encode_body(self, shape: Shape, value: Any, tag: str) -> bytes:
        return xml_body.dumps(shape, value, tag)

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> Response:
        _, code, status, _ = self.model.error(error.code)
        status = status or error.status
        headers = self.identify(request_id) | error.headers
        if request.method == "HEAD" or status == 304:
            return Response(status, headers)
        members = {"Code": code, "Message": error.message} | error.extra
        members |= {"RequestId": request_id, "HostId": request_id}
        inner = "".join(f"<{k}>{xml_body.escape(str(v))}</{k}>" for k, v in members.items())
        body = f"{xml_body.DECLARATION}<Error>{inner}</Error>"
        return Response(status, {"content-type": "application/xml"} | headers, body.encode())

    def invalid(self, text: str) -> ServiceError:
        return ServiceError("InvalidArgument", text)

    def not_offered(self, text: str) -> ServiceError:
        return ServiceError("NotImplemented", text, 501)


def _collect(places: tuple[Place, ...], sent: Mapping[str, str], found: dict[str, Any]) -> None:
    for name, member, s, is_text in places:
        if (value := sent.get(name)) is not None:
            found[member] = value if is_text else _decode_located(s, member, value)


def _decode_located(shape: Shape, member: str, text: str) -> Any:
    try:
        if shape.type_name == "list":
            return [decode_text(shape.member, item.strip()) for item in text.split(",")]
        return decode_text(shape, text)
    except Malformed as fault:
        raise fault.within(member) from None


def _encode_located(shape: Shape, value: Any) -> str:
    if shape.type_name == "list":
        return ",".join(encode_text(shape.member, item, "rfc822") for item in value)
    return encode_text(shape, value, "rfc822")


def _utf8(data: Any) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
