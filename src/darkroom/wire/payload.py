"""Holds a request body to what its head promised: the declared hash, signed chunks, checksums in trailers.

Checks run while the bytes pass by and fail at the end of the stream, so nothing is committed that was not checked.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from hashlib import sha256

from darkroom.wire.chunked import SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, ChunkSigner, unchunked
from darkroom.wire.messages import Body, Request, ServiceError
from darkroom.wire.refusals import Reason, refusal
from darkroom.wire.sigv4 import UNSIGNED, Proof

PIECE = 256 * 1024  # bytes handed on at a time: with ten parts of an upload at once, memory stays small
WORTH_A_THREAD = 128 * 1024


def checked(request: Request, proof: Proof) -> Body:
    """The body of a request whose head is proven. aws-chunked is undone, and taken out of Content-Encoding.

    Trailers are added to ``request.headers`` when the stream has ended. Raises ServiceError for a payload
    declaration that is unknown.
    """
    declared = proof.payload_hash or request.headers.get("x-amz-content-sha256", UNSIGNED)
    pieces = request.body.__aiter__()
    if declared.startswith("STREAMING-"):
        return _streamed(request, proof, declared, pieces)
    if declared == UNSIGNED or proof.caller.anonymous:
        return Body(gathered(pieces), request.body.length)
    if len(declared) != 64:
        raise ServiceError(
            "InvalidArgument",
            f"x-amz-content-sha256 must be {UNSIGNED}, {SIGNED}, or a valid sha256 value.",
        )
    return Body(_hashed(gathered(pieces), declared), request.body.length)


def _streamed(request: Request, proof: Proof, declared: str, pieces: AsyncIterator[bytes]) -> Body:
    if declared not in (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER):
        raise ServiceError("NotImplemented", f"The payload declaration {declared} is not supported.", 501)
    signer = None
    if declared != UNSIGNED_TRAILER:
        if proof.scope is None:
            raise refusal("s3", Reason.MISMATCH)
        signer = ChunkSigner(proof.signing_key, proof.stamp, proof.scope.text, proof.signature)
    encodings = [e.strip() for e in request.headers.pop("content-encoding", "").split(",")]
    if kept := [e for e in encodings if e and e.lower() != "aws-chunked"]:
        request.headers["content-encoding"] = ", ".join(kept)
    text = request.headers.get("x-amz-decoded-content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ServiceError(
            "MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.", 411
        )
    length = int(text)
    return Body(gathered(unchunked(pieces, length, signer, request.headers.update)), length)


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about PIECE."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield held[0] if len(held) == 1 else b"".join(held)


async def _hashed(pieces: AsyncIterator[bytes], expected: str) -> AsyncIterator[bytes]:
    """Hashes each piece in a thread while the reader works on it."""
    digest, loop, pending = sha256(), asyncio.get_running_loop(), None
    async for piece in pieces:
        if pending is not None:
            await pending
            pending = None
        if len(piece) >= WORTH_A_THREAD:
            pending = loop.run_in_executor(None, digest.update, piece)
        else:
            digest.update(piece)
        yield piece
    if pending is not None:
        await pending
    if digest.hexdigest() != expected:
        raise ServiceError(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ClientComputedContentSHA256=expected,
            S3ComputedContentSHA256=digest.hexdigest(),
        )


def gunzipped(data: bytes, limit: int) -> bytes:
    """A gzip body undone. Raises ServiceError where it is none, or larger than ``limit`` bytes."""
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data, limit)
    except zlib.error as error:
        raise ServiceError(
            "SerializationException", f"The body is not gzip, as Content-Encoding says: {error}"
        ) from None
    if stream.unconsumed_tail or not stream.eof:
        what = f"is larger than {limit} bytes when unpacked" if stream.unconsumed_tail else "ends early"
        raise ServiceError("SerializationException", f"The gzip body {what}.", 413 if stream.unconsumed_tail else 400)
    return plain
