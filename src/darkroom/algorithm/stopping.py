"""SIGTERM: while there is nothing to save the job ends at once; during training the loop ends after its batch, or in
the middle of one that takes too long.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LONGEST_S = 60.0  # for the batch in hand: half of what SageMaker gives between SIGTERM and SIGKILL


class Stopped(BaseException):
    """Raised in the main thread by SIGTERM while there is nothing to save. No Exception: only main handles it."""


class Interrupted(BaseException):
    """Raised in the main thread in the middle of a batch that was still not over a while after SIGTERM."""


class StopSignal:
    """``asked`` becomes true at SIGTERM. ``patient``: whoever runs looks at ``asked`` itself, for so many seconds.
    ``tell``: is called then, for who else is to know."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self.asked = False
        self.patient = False
        self.tell: Callable[[], None] = lambda: None
        self._longest_s = longest_s
        self._may_interrupt = False
        self._late = False  # that long after SIGTERM, and longer

    def listen(self) -> "StopSignal":
        signal.signal(signal.SIGTERM, self._on_signal)
        return self

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """What may be broken off. Raises Interrupted."""
        self._may_interrupt = True
        try:
            if self._late:  # the alarm rings once
                raise Interrupted
            yield
        finally:
            self._may_interrupt = False

    @contextmanager
    def afterwards(self) -> Iterator[None]:
        """What is not to be left half done. Raises Stopped at its end."""
        self.patient = True
        try:
            yield
        finally:
            self.patient = False
        self.check()

    def check(self) -> None:
        """Raises Stopped where the signal came while a library swallowed the exception (imports do)."""
        if self.asked:
            raise Stopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self.patient:
            raise Stopped
        self.tell()
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.setitimer(signal.ITIMER_REAL, self._longest_s)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        self._late = True
        if self._may_interrupt:
            raise Interrupted
