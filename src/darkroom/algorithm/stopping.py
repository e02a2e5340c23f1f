"""SIGTERM: while there is nothing to save the job ends at once; during training the loop ends after its batch."""

import signal
from types import FrameType


class Stopped(BaseException):
    """Raised in the main thread by SIGTERM while there is nothing to save. No Exception: only main handles it."""


class StopSignal:
    """``asked`` becomes true at SIGTERM. ``patient``: whoever runs looks at ``asked`` itself."""

    def __init__(self) -> None:
        self.asked = False
        self.patient = False

    def listen(self) -> "StopSignal":
        signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def check(self) -> None:
        """Raises Stopped where the signal came while a library swallowed the exception (imports do)."""
        if self.asked:
            raise Stopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self.patient:
            raise Stopped
