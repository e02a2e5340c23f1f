"""A share of memory that threads take before they decode, so that many large pictures at once stay within bounds."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """``with budget.hold(n):`` waits until ``n`` bytes are free. More than there is at all waits to be alone."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + size_bytes <= self.size_bytes)
            self._held += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._held -= size_bytes
                self._changed.notify_all()
