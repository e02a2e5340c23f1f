"""The JSON 1.0 and 1.1 protocols: the operation in X-Amz-Target, one JSON structure each way."""

from typing import Any

from botocore.model import OperationModel

from darkroom.wire import json_body
from darkroom.wire.messages import Request, Response, ServiceError
from darkroom.wire.models import Model
from darkroom.wire.scalars import Malformed

PREFIX = "application/x-amz-json-"
# What a service calls a request that breaks the constraints of its model; all others say ValidationException.
INVALID = {"logs": "InvalidParameterException", "ecr": "InvalidParameterException", "cloudwatch": "ValidationError"}


class JsonRpc:
    kind = "json"

    def __init__(self, model: Model) -> None:
        self.model = model

    def find(self, request: Request, data: bytes) -> tuple[OperationModel, None]:
        """Raises ServiceError for an operation that the service does not have."""
        target = request.headers.get("x-amz-target", "")
        try:
            return self.model.operation(target.rpartition(".")[2]), None
        except KeyError:
            raise ServiceError(
                "UnknownOperationException", f"{target or 'A request without X-Amz-Target'} is no operation"
            ) from None

    def parse(self, operation: OperationModel, context: None, request: Request, data: bytes) -> dict[str, Any]:
        try:
            value = json_body.loads(data)
            if operation.input_shape is None:
                return {}
            params: dict[str, Any] = json_body.decode(operation.input_shape, value)
            return params
        except Malformed as fault:
            raise ServiceError("SerializationException", str(fault)) from None

    def serialise(
        self, operation: OperationModel, result: dict[str, Any], request: Request, request_id: str
    ) -> Response:
        shape = operation.output_shape
        body = json_body.dumps(json_body.encode(shape, result)) if shape is not None else b"{}"
        return Response(200, {"content-type": self._content_type(request), "x-amzn-requestid": request_id}, body)

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> Response:
        name, code, status, server = self.model.error(error.code)
        status = status or error.status
        headers = {"content-type": self._content_type(request), "x-amzn-requestid": request_id} | error.headers
        if "awsQueryCompatible" in self.model.metadata:
            headers["x-amzn-query-error"] = f"{code};{'Receiver' if server or status >= 500 else 'Sender'}"
        body = {"__type": name, "message": error.message, "Message": error.message} | error.extra
        return Response(status, headers, json_body.dumps(body))

    def identify(self, request_id: str) -> dict[str, str]:
        return {"x-amzn-requestid": request_id}

    def invalid(self, text: str) -> ServiceError:
        return ServiceError(INVALID.get(self.model.name, "ValidationException"), text)

    def not_offered(self, text: str) -> ServiceError:
        return ServiceError("UnknownOperationException", text)

    def _content_type(self, request: Request) -> str:
        given = request.headers.get("content-type", "")
        return given if given.startswith(PREFIX) else PREFIX + str(self.model.metadata.get("jsonVersion", "1.0"))
