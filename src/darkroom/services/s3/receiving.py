"""A request body on its way into the store: written and hashed in threads while the next bytes arrive.

Nothing is committed before every promise of the request (length, checksums, Content-MD5) has been kept.
"""

import base64
import binascii
from asyncio import Future, ensure_future, shield, wait
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from darkroom.objects.base import Blob, BlobWriter, ObjectStore
from darkroom.objects.checksums import ALGORITHMS
from darkroom.services.s3.faults import invalid_request
from darkroom.services.s3.part import S3Part
from darkroom.wire.messages import Body, Request, ServiceError

T = TypeVar("T")
HEADER = "x-amz-checksum-"
OpenWriter = Callable[[], BlobWriter]


@dataclass(frozen=True)
class Promises:
    """What a request says of its body: checksums by algorithm (None: will come in the trailer), and MD5."""

    checksums: dict[str, bytes | None] = field(default_factory=dict)
    md5: bytes | None = None

    @property
    def algorithms(self) -> list[str]:
        return list(self.checksums)


def promises(request: Request, default: str | None = None) -> Promises:
    """Read the checksum headers. ``default`` is computed where the request names none. Raises ServiceError."""
    headers = request.headers
    found: dict[str, bytes | None] = {}
    for name in ALGORITHMS:
        if (value := headers.get(HEADER + name.lower())) is not None:
            found[name] = _decoded(name, value)
        elif HEADER + name.lower() in headers.get("x-amz-trailer", "").lower().replace(" ", "").split(","):
            found[name] = None
    if len(found) > 1:
        raise invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    named = headers.get("x-amz-sdk-checksum-algorithm", default or "").upper()
    if not found and named:
        if named not in ALGORITHMS:
            raise invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        found[named] = None
    return Promises(found, _md5(headers.get("content-md5")))


def _decoded(name: str, value: str) -> bytes:
    try:
        checksum = base64.b64decode(value, validate=True)
    except binascii.Error:
        checksum = b""
    if len(checksum) != ALGORITHMS[name].width:
        raise invalid_request(f"Value for {HEADER}{name.lower()} header is invalid.")
    return checksum


def _md5(header: str | None) -> bytes | None:
    if header is None:
        return None
    try:
        md5 = base64.b64decode(header, validate=True)
    except binascii.Error:
        md5 = b""
    if len(md5) != 16:
        extra: dict[str, Any] = {"Content-MD5": header}
        raise ServiceError("InvalidDigest", "The Content-MD5 you specified is not valid.", **extra)
    return md5


async def receive(
    part: S3Part, request: Request, body: Body, promised: Promises, writer: OpenWriter, finish: Callable[[Blob], T]
) -> T:
    """Write a body, check it, and ``finish`` with the blob in the same thread hop as its last bytes.

    Raises ServiceError; then nothing is left of it.
    """
    receiver = _Receiver(part.store, writer)
    held = b""
    working: Future[Any] | None = None
    try:
        async for piece in body:
            if held:  # the last piece is kept back, so that a short body needs one hop only
                if working:
                    await working
                working = ensure_future(part.in_thread(receiver.write, held))
            held = piece
        if working:
            await working
        last = ensure_future(part.in_thread(receiver.finish, held, request, body.length, promised, finish))
        working = last
        return await shield(last)
    except BaseException:
        if working:
            await wait([working])  # its file must not be closed under the thread
        await part.in_thread(receiver.abort)
        raise


class _Receiver:
    """The blocking half. One thread at a time."""

    def __init__(self, store: ObjectStore, open_writer: OpenWriter) -> None:
        self._store, self._open = store, open_writer
        self._writer: BlobWriter | None = None
        self._size = 0

    def write(self, piece: bytes) -> None:
        if self._writer is None:
            self._writer = self._open()
        self._writer.write(piece)
        self._size += len(piece)

    def finish(
        self, piece: bytes, request: Request, length: int | None, promised: Promises, finish: Callable[[Blob], T]
    ) -> T:
        self.write(piece)
        if length is not None and length != self._size:
            text = "You did not provide the number of bytes specified by the Content-Length HTTP header."
            raise ServiceError("IncompleteBody", text)
        assert self._writer is not None
        blob = self._writer.commit()
        self._writer = None
        try:
            _check(blob, promised, request)
        except ServiceError:
            self._store.discard(blob)
            raise
        return finish(blob)

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()
            self._writer = None


def _check(blob: Blob, promised: Promises, request: Request) -> None:
    """Raises ServiceError: BadDigest."""
    if promised.md5 is not None and promised.md5 != blob.md5:
        raise ServiceError(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            ExpectedDigest=base64.b64encode(promised.md5).decode(),
            CalculatedDigest=base64.b64encode(blob.md5).decode(),
        )
    for name, checksum in promised.checksums.items():
        trailer = request.headers.get(HEADER + name.lower())
        expected = checksum if checksum is not None or trailer is None else _decoded(name, trailer)
        if expected is not None and expected != blob.checksums[name]:
            raise ServiceError("BadDigest", f"The {name} you specified did not match the calculated checksum.")


def checksum_texts(checksums: Mapping[str, bytes]) -> dict[str, str]:
    """Checksums by algorithm as result members."""
    return {f"Checksum{name}": base64.b64encode(value).decode() for name, value in checksums.items()}
