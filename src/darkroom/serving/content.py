"""What a request may hold, and how it is refused: a status and one sentence that says what to send instead.

Knows HTTP's words, and nothing of sockets.
"""

from darkroom.imaging.signatures import KINDS, kind_of

IMAGE_TYPES = ("application/x-image", "image/jpeg", "image/png")  # as the algorithm's documentation lists them


class Refused(Exception):
    """The client has to change the request; ``status`` is 4xx, the message goes into the body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_content(content_type: str | None, data: bytes) -> None:
    """Raises Refused(415) unless the type says image or the bytes are one.

    Clients send application/octet-stream, application/json, application/x-npy or nothing where a notebook forgot to set
    the type (SDK 2 made that easy), and Clarify sends image/*; the bytes know better.
    """
    declared = (content_type or "").partition(";")[0].strip().lower()
    if declared in IMAGE_TYPES or declared.startswith("image/") or kind_of(data) is not None:
        return
    named = f"Content type {declared!r}" if declared else "A request without Content-Type"
    raise Refused(
        415,
        f"{named} is not supported for a body that is no image. Accepted content types are: {', '.join(IMAGE_TYPES)};"
        f" the body is one image file ({', '.join(KINDS)})",
    )
