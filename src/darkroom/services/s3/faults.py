"""The store's errors in S3's words: code, text, status and members, as the real service writes them."""

import errno
from typing import Any

from darkroom.errors import Conflict, DarkroomError, Full, Invalid, NotFound, PreconditionFailed, Unavailable
from darkroom.wire.messages import ServiceError

NOT_FOUND = {
    "bucket": ("NoSuchBucket", "The specified bucket does not exist", 404, "BucketName"),
    "key": ("NoSuchKey", "The specified key does not exist.", 404, "Key"),
    "upload": (
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        404,
        "UploadId",
    ),
    "part": (
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag.",
        400,
        "PartNumber",
    ),
}


def in_aws_words(error: DarkroomError | OSError) -> ServiceError:
    match error:
        case NotFound(kind=kind, name=name) if kind in NOT_FOUND:
            code, text, status, member = NOT_FOUND[kind]
            extra: dict[str, Any] = {member: name}
            return ServiceError(code, text, status, **extra)
        case Conflict(kind="part", name=name):
            text = "Your proposed upload is smaller than the minimum allowed size"
            return ServiceError("EntityTooSmall", text, 400, PartNumber=name)
        case Conflict(kind="bucket", name=name):
            return ServiceError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409, BucketName=name)
        case PreconditionFailed():
            return precondition_failed()
        case Invalid():
            return ServiceError("InvalidArgument", str(error))
        case Full() | OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return ServiceError("InsufficientStorage", str(Full()), 507)
        case Unavailable():
            return ServiceError("ServiceUnavailable", str(error), 503)
    raise error


def precondition_failed(condition: str = "") -> ServiceError:
    text = "At least one of the pre-conditions you specified did not hold"
    extra: dict[str, Any] = {"Condition": condition} if condition else {}
    return ServiceError("PreconditionFailed", text, 412, **extra)


def not_modified(headers: dict[str, str]) -> ServiceError:
    return ServiceError("NotModified", "Not Modified", 304, headers)


def access_denied(text: str = "Access Denied") -> ServiceError:
    return ServiceError("AccessDenied", text, 403)


def invalid_request(text: str) -> ServiceError:
    return ServiceError("InvalidRequest", text)


def invalid_argument(text: str, name: str, value: str) -> ServiceError:
    return ServiceError("InvalidArgument", text, 400, ArgumentName=name, ArgumentValue=value)
