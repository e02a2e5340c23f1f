"""Requests and responses as plain values, and the one error a client is meant to see.

Knows HTTP, and nothing of Darkroom. Bodies are streams both ways: never whole in memory unless a protocol needs it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class ServiceError(Exception):
    """An error for the client: ``code`` and ``message`` in AWS's words, the HTTP status, extra members by name.

    ``extra`` become further members of the error body (``OriginalStatusCode``, ``BucketName``, …);
    ``headers`` are added to the response.
    """

    def __init__(
        self, code: str, message: str, status: int = 400, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.headers, self.extra = headers or {}, extra


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the request; ``access_key`` is None for an unsigned one. ``region`` is the signing scope's."""

    access_key: str | None
    region: str = "us-east-1"

    @property
    def anonymous(self) -> bool:
        return self.access_key is None


class Body:
    """A request body as it arrives. Iterate once (chunks of any size), or ``read`` it whole up to a limit."""

    def __init__(self, chunks: AsyncIterator[bytes], length: int | None = None) -> None:
        self._chunks = chunks
        self.length = length  # bytes, where the client said so

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises ServiceError(RequestEntityTooLarge, 413) past ``limit`` bytes."""
        if self.length is not None and self.length > limit:
            raise _too_large(limit)
        parts, size = [], 0
        async for chunk in self._chunks:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> ServiceError:
    return ServiceError("RequestEntityTooLarge", f"Request body is larger than {limit} bytes.", 413)


@dataclass(slots=True)
class Request:
    """One HTTP request. ``path`` and ``raw_query`` are undecoded; ``query`` is decoded; header names are lower-case."""

    method: str
    path: str
    raw_query: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Body


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Bytes ``start`` to ``stop`` (exclusive) of a file that will not change."""

    path: Path
    start: int
    stop: int


@dataclass(slots=True)
class Response:
    """One HTTP response. A streamed body sets ``content-length`` itself where it knows it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | FileSlice | AsyncIterator[bytes] = b""


@dataclass(slots=True)
class Call:
    """One parsed and validated operation. ``params`` has AWS's member names; a streaming blob member holds a Body."""

    operation: str
    params: dict[str, Any]
    caller: Caller
    request: Request
    request_id: str
