"""The few domain errors. The class says what the caller should do; the message names the value and the remedy.

Knows no AWS error code: ``services`` says each of them in AWS's words.
"""


class DarkroomError(Exception):
    """Root of every error the platform raises on purpose."""


class NotFound(DarkroomError):
    """Name something that exists. ``kind`` is the word for the thing ("bucket", "key", "upload", "training-job", …)."""

    def __init__(self, kind: str, name: str, message: str | None = None) -> None:
        super().__init__(message or f"no {kind} named {name!r}")
        self.kind, self.name = kind, name


class Conflict(DarkroomError):
    """Choose another name, or wait: what is there (its name, its present state) does not allow the change."""

    def __init__(self, kind: str, name: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.name = kind, name


class Invalid(DarkroomError):
    """Correct the value; the message says which one, what was expected and what to write instead."""


class PreconditionFailed(DarkroomError):
    """Read again, then decide again: a condition of the request (If-Match, If-None-Match, …) did not hold."""


class Unavailable(DarkroomError):
    """Try again later: the machine is full, or something is just starting or stopping."""


class Full(Unavailable):
    """Make room, then try again."""

    def __init__(self) -> None:
        super().__init__(
            "There is no space left on the server's disk. Delete objects, or move DARKROOM_HOME to a larger disk."
        )
