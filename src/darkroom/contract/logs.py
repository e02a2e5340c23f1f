"""The one format of a log stream on disk: ``<epoch ms> <message>`` a line, appended by exactly one writer.

Escapes keep a message on one line; timestamps never decrease within a stream, whatever the clock does, because
clients drop late events. A tab is written ``#011``, as CloudWatch Logs shows it, so that metric regexes written
for AWS match here.
"""

import re
from collections.abc import Iterator

MAX_MESSAGE_CHARS = 256 * 1024
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {v: k for k, v in _ESCAPES.items()}


def encode(timestamp_ms: int, message: str) -> bytes:
    """One line of the file, newline included. Longer messages are cut by the caller (``split``)."""
    text = re.sub(r"[\\\n\r]", lambda m: _ESCAPES[m[0]], message.replace("\t", "#011"))
    return f"{timestamp_ms} {text}\n".encode("utf-8", "backslashreplace")


def decode(line: bytes) -> tuple[int, str]:
    """(epoch ms, message) of one whole line. Raises ValueError for a line cut short by a crash."""
    if not line.endswith(b"\n"):
        raise ValueError("unfinished line")
    stamp, _, text = line[:-1].partition(b" ")
    message = re.sub(r"\\[\\nr]", lambda m: _UNESCAPES[m[0]], text.decode("utf-8", "replace"))
    return int(stamp), message


def split(message: str) -> Iterator[str]:
    """The message in pieces no longer than MAX_MESSAGE_CHARS, at least one."""
    for start in range(0, max(1, len(message)), MAX_MESSAGE_CHARS):
        yield message[start : start + MAX_MESSAGE_CHARS]
