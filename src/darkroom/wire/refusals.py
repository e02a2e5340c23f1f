"""Why a request is not believed, and how each kind of service says so: one table of codes, statuses and texts."""

from enum import Enum
from typing import Any

from darkroom.wire.messages import ServiceError


class Reason(Enum):
    MISSING = "no signature where one is needed"
    MALFORMED = "an authorization that cannot be read"
    UNKNOWN_KEY = "an access key that is not ours"
    MISMATCH = "a signature that is not the one we calculate"
    SKEWED = "a time too far from now"
    EXPIRED = "a presigned URL past its time"
    UNSIGNED_HEADERS = "headers that had to be signed"


WRONG = "The request signature we calculated does not match the signature you provided."
LONG_WRONG = (
    f"{WRONG} Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
BAD_TOKEN = "The security token included in the request is invalid."

# kind of service → reason → (code, HTTP status, text; None where the text names what is wrong in this request)
TABLE: dict[str, dict[Reason, tuple[str, int, str | None]]] = {
    "s3": {
        Reason.MISSING: ("AccessDenied", 403, "Access Denied"),
        Reason.MALFORMED: ("AuthorizationHeaderMalformed", 400, None),
        Reason.UNKNOWN_KEY: (
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Reason.MISMATCH: ("SignatureDoesNotMatch", 403, f"{WRONG} Check your key and signing method."),
        Reason.SKEWED: (
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
        ),
        Reason.EXPIRED: ("AccessDenied", 403, "Request has expired"),
        Reason.UNSIGNED_HEADERS: (
            "AccessDenied",
            403,
            "There were headers present in the request which were not signed",
        ),
    },
    "json": {
        Reason.MISSING: ("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
        Reason.MALFORMED: ("IncompleteSignatureException", 400, None),
        Reason.UNKNOWN_KEY: ("UnrecognizedClientException", 400, BAD_TOKEN),
        Reason.MISMATCH: ("InvalidSignatureException", 400, LONG_WRONG),
        Reason.SKEWED: ("InvalidSignatureException", 400, None),
        Reason.EXPIRED: ("InvalidSignatureException", 400, None),
        Reason.UNSIGNED_HEADERS: ("InvalidSignatureException", 400, None),
    },
    "query": {
        Reason.MISSING: ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        Reason.MALFORMED: ("IncompleteSignature", 400, None),
        Reason.UNKNOWN_KEY: ("InvalidClientTokenId", 403, BAD_TOKEN),
        Reason.MISMATCH: ("SignatureDoesNotMatch", 403, LONG_WRONG),
        Reason.SKEWED: ("SignatureDoesNotMatch", 403, None),
        Reason.EXPIRED: ("SignatureDoesNotMatch", 403, None),
        Reason.UNSIGNED_HEADERS: ("SignatureDoesNotMatch", 403, None),
    },
}


def refusal(kind: str, reason: Reason, text: str = "", **extra: Any) -> ServiceError:
    """``kind`` is "s3", "json" or "query"; ``text`` says what is wrong where the table has no fixed text.

    ``extra`` are further members, which only S3's errors have.
    """
    code, status, fixed = TABLE[kind][reason]
    return ServiceError(code, fixed or text or reason.value, status, **(extra if kind == "s3" else {}))
