"""Bytes of output as they come → lines for the log. Pure: the clock is an argument.

A carriage return starts the line again, as on a terminal, so of a progress bar only its newest state counts: shown once
a second while it moves, and at its end. Unfinished text is shown after a second of silence. No message is longer than
the limit of the log format.
"""

from darkroom.contract.logs import MAX_MESSAGE_BYTES, boundary

PATIENCE_S = 1.0


class Lines:
    """``feed`` and ``tick`` give finished lines. Call ``tick`` when the time ``due`` has come, ``close`` at the end."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._partial = b""
        self._shown = False  # the beginning of this line was given out already, for lack of a newline
        self.due: float | None = None

    def feed(self, data: bytes, now: float) -> list[str]:
        *finished, partial = (self._partial + data).split(b"\n")
        lines: list[str] = []
        for text in finished:
            text = _newest(text)
            if text or not self._shown:
                lines += self._pieces(text)
            self._shown = False
        self._partial = _unfinished(partial)
        if len(self._partial) > self._limit:
            *pieces, rest = self._cut(self._partial)
            lines += [_text(piece) for piece in pieces]
            self._partial, self._shown = rest, True
        if not self._partial:
            self.due = None
        elif self.due is None or finished:
            self.due = now + PATIENCE_S
        return lines

    def tick(self, now: float) -> list[str]:
        return self.close() if self.due is not None and now >= self.due else []

    def close(self) -> list[str]:
        """What is left. More may follow: it begins a new line."""
        text, self._partial, self.due = _newest(self._partial), b"", None
        self._shown = self._shown or bool(text)
        return self._pieces(text) if text else []

    def _pieces(self, text: bytes) -> list[str]:
        return [_text(piece) for piece in self._cut(text)]

    def _cut(self, text: bytes) -> list[bytes]:
        pieces = []
        while len(text) > self._limit:
            end = boundary(text, self._limit)
            pieces.append(text[:end])
            text = text[end:]
        return [*pieces, text]


def _newest(line: bytes) -> bytes:
    """What a terminal would show of a line: the text after the last carriage return that any text follows."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _unfinished(partial: bytes) -> bytes:
    """Of a partial line only the newest state is kept, and a return after it, which may belong to a newline."""
    return _newest(partial) + (b"\r" if partial.endswith(b"\r") else b"")


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
