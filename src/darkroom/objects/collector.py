"""Removes blobs that have no name: after a while, so that whoever just looked one up can still open it.

Knows files and a question to ask about them; refuses to know why a blob lost its name. What is left when the process
dies is found at the next start.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue

from darkroom.objects.blobs import Blobs

log = logging.getLogger(__name__)
GRACE_S = 60.0


class Collector:
    """``orphans(ids)`` answers which of them no name points to."""

    def __init__(
        self, blobs: Blobs, orphans: Callable[[Iterable[str]], Sequence[str]], grace_s: float = GRACE_S
    ) -> None:
        self._blobs, self._orphans, self._grace_s = blobs, orphans, grace_s
        self._queue: SimpleQueue[tuple[float, Sequence[str]] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="objects-collector", daemon=True)
        self._thread.start()

    def drop(self, blob_ids: Iterable[str]) -> None:
        if ids := list(blob_ids):
            self._queue.put((time.monotonic() + self._grace_s, ids))

    def close(self) -> None:
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            self.sweep()
        except Exception:
            log.exception("cannot look for files without a name; the next start tries again")
        while (item := self._queue.get()) is not None:
            due, ids = item
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return
            self._remove(ids)

    def sweep(self) -> None:
        """Remove what earlier generations left without a name, such as the unfinished writes of a killed server."""
        self._remove(self._orphans(self._blobs.earlier()))
        self._blobs.remove_empty_folders()

    def _remove(self, ids: Iterable[str]) -> None:
        for blob_id in ids:
            try:
                self._blobs.remove(blob_id)
            except OSError:
                log.exception("cannot remove blob %s; the next start tries again", blob_id)
