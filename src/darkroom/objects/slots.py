"""Where the parts of one upload lie: side by side in one file, so that joining them copies nothing.

Part ``n`` has the slot that begins at ``(n - 1) * width``; the first part that arrives sets the width. A slot is
claimed once: whatever does not fit, or comes again, goes to a file of its own and is copied when the parts are joined.
Knows no SQL and opens no file. A restart forgets the slots; parts that come later just get files of their own.
"""

import threading
from dataclasses import dataclass, field

MAX_FILE_BYTES = 5 * 2**40
WIDTH_STEP_BYTES = 2**20  # clients cut in whole MiB; an odd size is most likely the last part's


@dataclass
class _Upload:
    blob: str  # the shared file
    width: int = 0  # bytes; 0: not known yet
    claimed: set[int] = field(default_factory=set)
    writing: int = 0


class Slots:
    """The shared files of all uploads under way, by upload id. Thread-safe."""

    def __init__(self) -> None:
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()

    def begin(self, upload_id: str, blob: str) -> None:
        self._uploads[upload_id] = _Upload(blob)

    def claim(self, upload_id: str, number: int, size: int | None) -> tuple[str, int] | None:
        """The (blob id, offset) to write ``size`` bytes at, or None where the part needs a file of its own.

        Every claim ends with ``release``.
        """
        with self._lock:
            upload = self._uploads.get(upload_id)
            if upload is None or not size or number in upload.claimed:
                return None
            if upload.width == 0 and size % WIDTH_STEP_BYTES == 0:
                upload.width = size
            offset = (number - 1) * upload.width
            if size > upload.width or offset + size > MAX_FILE_BYTES:
                return None
            upload.claimed.add(number)
            upload.writing += 1
            return upload.blob, offset

    def release(self, upload_id: str) -> None:
        with self._lock:
            if upload_id in self._uploads:
                self._uploads[upload_id].writing -= 1

    def end(self, upload_id: str) -> bool:
        """No slot is given any more. True where nobody is writing: the shared file will not change."""
        with self._lock:
            upload = self._uploads.pop(upload_id, None)
            return upload is None or upload.writing == 0
