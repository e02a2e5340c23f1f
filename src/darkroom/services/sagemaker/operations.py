"""The registry of SageMaker's operations, and the platform's errors in AWS's words.

Clients match on these texts and codes: "Could not find …" and "Cannot create already existing …" are how the SDKs
learn what exists.
"""

from functools import wraps
from typing import Any

from darkroom.control.plane import Control
from darkroom.control.resources import Kind
from darkroom.errors import Conflict, DarkroomError, Invalid, NotFound
from darkroom.wire.messages import Call, ServiceError
from darkroom.wire.operations import Handler, Operations

NOT_FOUND = {
    Kind.TRAINING_JOB: "Requested resource not found.",
    Kind.COMPILATION_JOB: "Could not find compilation job {arn}.",
    Kind.MODEL: 'Could not find model "{arn}".',
    Kind.ENDPOINT_CONFIG: 'Could not find endpoint configuration "{arn}".',
    Kind.ENDPOINT: 'Could not find endpoint "{arn}".',
}
TAKEN = {
    Kind.TRAINING_JOB: (
        "Training job names must be unique within an AWS account and region, "
        "and a training job with this name already exists ({arn})"
    ),
    Kind.COMPILATION_JOB: "A compilation job with this name already exists ({arn}): choose another name",
    Kind.MODEL: 'Cannot create already existing model "{arn}".',
    Kind.ENDPOINT_CONFIG: 'Cannot create already existing endpoint configuration "{arn}".',
    Kind.ENDPOINT: 'Cannot create already existing endpoint "{arn}".',
}


class SageMaker(Operations):
    """The decorator of handlers ``(control, call) -> result members``."""

    def __call__(self, handler: Handler) -> Handler:
        @wraps(handler)
        def worded(control: Control, call: Call) -> Any:
            try:
                return handler(control, call)
            except DarkroomError as error:
                raise _in_aws_words(error, control, call) from error

        return super().__call__(worded)


operation = SageMaker("sagemaker")


def _in_aws_words(error: DarkroomError, control: Control, call: Call) -> ServiceError:
    match error:
        case NotFound(kind=kind, name=name) if kind in NOT_FOUND:
            said = NOT_FOUND[Kind(kind)].format(arn=control.arn(Kind(kind), name, call.caller.region))
            if kind == Kind.COMPILATION_JOB:
                return ServiceError("ResourceNotFound", said)
        case Conflict(kind=kind, name=name) if call.operation.startswith("Create"):
            said = TAKEN[Kind(kind)].format(arn=control.arn(Kind(kind), name, call.caller.region))
            if kind in (Kind.TRAINING_JOB, Kind.COMPILATION_JOB):
                return ServiceError("ResourceInUse", said)
        case Conflict() if call.operation == "DeleteTrainingJob":
            return ServiceError("ResourceInUse", str(error))
        case NotFound() | Conflict() | Invalid():
            said = str(error)
        case _:
            return ServiceError("ServiceUnavailable", str(error), 503)
    return ServiceError("ValidationException", said)


def tags_of(params: dict[str, Any]) -> dict[str, str]:
    """The Tags member of a request, by key."""
    return {tag["Key"]: tag["Value"] for tag in params.get("Tags", ())}
