"""Undoes aws-chunked: framing, the signature of every chunk, and the trailers, as the bytes pass by.

Source: "Signature calculations for the Authorization header: Transferring payload in multiple chunks" of the S3 API
reference. Data is handed on before its chunk's signature is known: whoever stores it commits after the last chunk.
"""

import hmac
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256

from darkroom.wire.messages import ServiceError
from darkroom.wire.refusals import Reason, refusal

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
MAX_LINE = 8192  # bytes of a chunk's head or of a trailer
MAX_TRAILERS = 50
NOTHING = sha256(b"").hexdigest()


@dataclass(slots=True)
class ChunkSigner:
    """The chain of signatures: each one covers the one before. ``signature`` starts as the request's own."""

    key: bytes
    stamp: str
    scope: str
    signature: str

    def check_chunk(self, data_hash: str, given: bytes | None) -> None:
        self._check("AWS4-HMAC-SHA256-PAYLOAD", f"{NOTHING}\n{data_hash}", given)

    def check_trailers(self, text: bytes, given: bytes | None) -> None:
        self._check("AWS4-HMAC-SHA256-TRAILER", sha256(text).hexdigest(), given)

    def _check(self, algorithm: str, digests: str, given: bytes | None) -> None:
        to_sign = f"{algorithm}\n{self.stamp}\n{self.scope}\n{self.signature}\n{digests}"
        self.signature = hmac.digest(self.key, to_sign.encode(), "sha256").hex()
        if given is None or not hmac.compare_digest(self.signature.encode(), given):
            raise refusal("s3", Reason.MISMATCH)


class _Reader:
    """Lines and counted runs of bytes out of pieces of any size."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    async def line(self) -> bytes:
        """Up to CRLF, without it; b"" also at the end of the stream."""
        while (end := self._left.find(b"\r\n")) < 0:
            if len(self._left) > MAX_LINE:
                raise _broken("a line of the aws-chunked encoding is too long")
            if not (piece := await anext(self._pieces, b"")):
                line, self._left = self._left, b""
                return line
            self._left += piece
        line, self._left = self._left[:end], self._left[end + 2 :]
        return line

    async def run(self, size: int) -> AsyncIterator[bytes]:
        """The next ``size`` bytes."""
        while size:
            piece = self._left or await anext(self._pieces, b"")
            if not piece:
                raise incomplete()
            taken, self._left = piece[:size], piece[size:]
            size -= len(taken)
            yield taken


async def unchunked(
    pieces: AsyncIterator[bytes],
    length: int | None,
    signer: ChunkSigner | None,
    trailers: Callable[[dict[str, str]], None],
) -> AsyncIterator[bytes]:
    """The bytes inside. ``trailers`` is called with lower-case names before the stream ends.

    Raises ServiceError: IncompleteBody where ``length`` bytes did not come, SignatureDoesNotMatch.
    """
    reader, received = _Reader(pieces), 0
    while True:
        head = CHUNK_HEAD.fullmatch(await reader.line())
        if head is None:
            raise _broken("the head of an aws-chunked chunk can not be read")
        size, given = int(head[1], 16), head[2]
        digest = sha256()
        async for piece in reader.run(size):
            received += len(piece)
            if signer is not None:
                digest.update(piece)
            yield piece
        if signer is not None:
            signer.check_chunk(digest.hexdigest(), given)
        if size == 0:
            break
        if await reader.line():
            raise _broken("an aws-chunked chunk is longer than its head says")
    if length is not None and received != length:
        raise incomplete()
    trailers(await _trailers(reader, signer))


async def _trailers(reader: _Reader, signer: ChunkSigner | None) -> dict[str, str]:
    found: dict[str, str] = {}
    while line := await reader.line():
        name, _, value = line.decode("latin-1").partition(":")
        found[name.strip().lower()] = value.strip()
        if len(found) > MAX_TRAILERS:
            raise _broken("too many trailers")
    given = found.pop("x-amz-trailer-signature", None)
    if signer is not None and found:
        text = "".join(f"{name}:{value}\n" for name, value in sorted(found.items()))
        signer.check_trailers(text.encode("latin-1"), given.encode("latin-1") if given else None)
    return found


def incomplete() -> ServiceError:
    return ServiceError(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header."
    )


def _broken(text: str) -> ServiceError:
    return ServiceError("InvalidRequest", f"The request body can not be read: {text}.")
