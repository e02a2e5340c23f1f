"""What a request may hold, and how it is refused: a status and one sentence that says what to send instead.

Knows HTTP's words, and nothing of sockets.
"""

from darkroom.imaging.signatures import KINDS, kind_of

IMAGE_TYPES = ("application/x-image", "image/jpeg", "image/png")  # as the algorithm's documentation lists them
NUMPY_TYPES = ("application/x-npy", "application/vnd+python.numpy+binary")  # of SageMaker's PyTorch and Neo runtimes
JSON_TYPES = ("application/json",)
IMAGE, NUMPY, JSON = "image", "numpy", "json"
NUMPY_MAGIC = b"\x93NUMPY"


class Refused(Exception):
    """The client has to change the request; ``status`` is 4xx, the message goes into the body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def kind_of_body(content_type: str | None, data: bytes) -> str:
    """IMAGE, NUMPY or JSON. Raises Refused(415) where neither the type nor the bytes say which.

    Clients send application/octet-stream, application/json, application/x-npy or nothing where a notebook forgot to set
    the type (SDK 2 made that easy), and Clarify sends image/*; the bytes know better.
    """
    declared = (content_type or "").partition(";")[0].strip().lower()
    if kind_of(data) is not None:
        return IMAGE
    if data.startswith(NUMPY_MAGIC) or declared in NUMPY_TYPES:
        return NUMPY
    if declared in IMAGE_TYPES or declared.startswith("image/"):
        return IMAGE
    if declared in JSON_TYPES:
        return JSON
    named = f"Content type {declared!r}" if declared else "A request without Content-Type"
    raise Refused(
        415,
        f"{named} is not supported for a body that is no image. Accepted content types are: {', '.join(IMAGE_TYPES)};"
        f" the body is one image file ({', '.join(KINDS)}). Arrays are taken as {', '.join(NUMPY_TYPES + JSON_TYPES)}",
    )
