"""The Query protocol: a form with Action and flattened ``A.B.member.1`` names in, XML out."""

from typing import Any
from urllib.parse import parse_qsl

from botocore.model import OperationModel, Shape

from darkroom.wire import xml_body
from darkroom.wire.messages import Request, Response, ServiceError
from darkroom.wire.models import Model, element_name, wire_name
from darkroom.wire.scalars import Malformed, decode_text

Form = dict[str, str]
Tree = dict[str, Any]
MAX_FIELDS = 20_000
MAX_DEPTH = 50


class Query:
    kind = "query"

    def __init__(self, model: Model) -> None:
        self.model = model

    def find(self, request: Request, data: bytes) -> tuple[OperationModel, Form]:
        """Raises ServiceError for a form without a known Action."""
        try:
            form = dict(request.query + parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError as error:
            raise ServiceError("MalformedInput", f"the form can not be read: {error}") from None
        action = form.get("Action", "")
        try:
            return self.model.operation(action), form
        except KeyError:
            version = self.model.metadata["apiVersion"]
            raise ServiceError(
                "InvalidAction" if action else "MissingAction",
                f"Could not find operation {action} for version {version}",
            ) from None

    def parse(self, operation: OperationModel, context: Form, request: Request, data: bytes) -> dict[str, Any]:
        if operation.input_shape is None:
            return {}
        try:
            params: dict[str, Any] = decode(operation.input_shape, grow(context))
            return params
        except Malformed as fault:
            raise ServiceError("MalformedInput", str(fault)) from None

    def serialise(
        self, operation: OperationModel, result: dict[str, Any], request: Request, request_id: str
    ) -> Response:
        inner, shape = "", operation.output_shape
        if shape is not None:
            inner = xml_body.encode_members(shape, result)
            if wrapper := shape.serialization.get("resultWrapper"):
                inner = f"<{wrapper}>{inner}</{wrapper}>"
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        root = f"{operation.name}Response"
        return self._answer(200, request_id, f'<{root} xmlns="{self._namespace}">{inner}{metadata}</{root}>')

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> Response:
        _, code, status, server = self.model.error(error.code)
        status = status or error.status
        members = {"Type": "Receiver" if server or status >= 500 else "Sender", "Code": code, "Message": error.message}
        inner = "".join(f"<{k}>{xml_body.escape(str(v))}</{k}>" for k, v in (members | error.extra).items())
        body = f"<Error>{inner}</Error><RequestId>{request_id}</RequestId>"
        answer = self._answer(status, request_id, f'<ErrorResponse xmlns="{self._namespace}">{body}</ErrorResponse>')
        answer.headers |= error.headers
        return answer

    def identify(self, request_id: str) -> dict[str, str]:
        return {"x-amzn-requestid": request_id}

    def invalid(self, text: str) -> ServiceError:
        return ServiceError("ValidationError", text)

    def not_offered(self, text: str) -> ServiceError:
        return ServiceError("InvalidAction", text)

    @property
    def _namespace(self) -> str:
        return str(self.model.metadata.get("xmlNamespace", ""))

    def _answer(self, status: int, request_id: str, text: str) -> Response:
        headers = {"content-type": "text/xml", "x-amzn-requestid": request_id}
        return Response(status, headers, (xml_body.DECLARATION + text).encode())


def grow(form: Form) -> Tree:
    """{"A.member.1": "x"} → {"A": {"member": {"1": "x"}}}. Raises Malformed where a name is a value and a structure."""
    tree: Tree = {}
    for name, value in form.items():
        *path, last = name.split(".", MAX_DEPTH)
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise Malformed(f"{name!r} lies below a name that has a value")
        if isinstance(node.get(last), dict):
            raise Malformed(f"{name!r} is a value and has members")
        node[last] = value
    return tree


def decode(shape: Shape, node: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        branch = _branch(node)
        found = {}
        for member, s in shape.members.items():
            if (name := element_name(s, member)) in branch:
                try:
                    found[member] = decode(s, branch[name])
                except Malformed as fault:
                    raise fault.within(member) from None
        return found
    if kind == "list":
        if node == "":  # how the protocol writes an empty list
            return []
        if not shape.serialization.get("flattened"):
            node = _branch(node).get(wire_name(shape.member, "member"), {})
        return [decode(shape.member, item) for item in _numbered(node)]
    if kind == "map":
        if not shape.serialization.get("flattened"):
            node = _branch(node).get("entry", {})
        return dict(_entry(shape, _branch(item)) for item in _numbered(node))
    if not isinstance(node, str):
        raise Malformed("members were found where a value was expected")
    return decode_text(shape, node)


def _entry(shape: Shape, entry: Tree) -> tuple[str, Any]:
    key, value = entry.get(wire_name(shape.key, "key")), entry.get(wire_name(shape.value, "value"))
    if not isinstance(key, str) or value is None:
        raise Malformed("an entry of a map lacks its key or its value")
    return key, decode(shape.value, value)


def _branch(node: Any) -> Tree:
    if not isinstance(node, dict):
        raise Malformed("a value was found where members were expected")
    return node


def _numbered(node: Any) -> list[Any]:
    branch = _branch(node)
    if not all(key.isascii() and key.isdigit() and len(key) < 10 for key in branch):
        raise Malformed("items of a list are numbered: .1, .2, …")
    return [branch[key] for key in sorted(branch, key=int)]
