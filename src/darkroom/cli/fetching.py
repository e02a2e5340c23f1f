"""One file over http, by steps: what has come is kept and gone on from, and the whole is held against its checksum.

Knows no weights.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.cli.console import Failure, reason_of

TRIES = 4
WAIT_S = 1.0  # before the second try; twice as long before each further one
TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 18
MAX_BYTES = 2 << 30  # no file of the table is a tenth of it

Progress = Callable[[int, int | None], None]  # bytes so far, and of the whole where the other side says


def fetch(url: str, part: Path, sha256: str, progress: Progress, sleep: Callable[[float], object] = time.sleep) -> None:
    """Have the file of ``url`` in ``part``, going on from what lies there. Raises Failure.

    ``sha256``: its first digits, or all, or none. What does not fit is removed.
    """
    for attempt in range(TRIES):
        try:
            _go_on(url, part, progress)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == TRIES - 1:
                raise Failure(f"{url} answers {error.code} {error.reason}") from error
        except (ConnectionError, http.client.HTTPException) as error:
            if attempt == TRIES - 1:
                kept = part.stat().st_size if part.exists() else 0
                raise Failure(f"{url} cannot be fetched: {error}; {kept} bytes are kept, try again later") from error
        except OSError as error:
            raise Failure(f"{part} cannot be written: {reason_of(error)}") from error
        sleep(WAIT_S * 2**attempt)
    found = sha256_of(part)
    if not found.startswith(sha256):
        part.unlink()
        raise Failure(f"{url} is not the published file: its SHA-256 is {found}, expected {sha256}; it is removed")


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _go_on(url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "darkroom"} | _range(have))
    try:
        with _network():
            response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:  # "there is nothing after that": the whole is here
            raise
        if (error.headers.get("Content-Range") or "").rpartition("/")[2] != str(have):
            part.unlink()
            _go_on(url, part, progress)
        return
    with response:
        goes_on = response.status == 206
        have = have if goes_on else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        if (total or 0) > MAX_BYTES:
            raise Failure(f"{url} has {total} bytes, more than any weights here")
        with open(part, "ab" if goes_on else "wb") as file:
            while chunk := _chunk(response):
                file.write(chunk)
                have += len(chunk)
                progress(have, total)
                if have > MAX_BYTES:
                    raise Failure(f"{url} goes on for more than {MAX_BYTES} bytes")
    if total is not None and have < total:
        raise ConnectionError("the connection was cut")


def _range(have: int) -> dict[str, str]:
    return {"Range": f"bytes={have}-"} if have else {}


def _chunk(response: http.client.HTTPResponse) -> bytes:
    with _network():
        return response.read(CHUNK_BYTES)


@contextmanager
def _network() -> Iterator[None]:
    """What the network does is a ConnectionError; every other OSError is the disk's."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except OSError as error:
        raise ConnectionError(str(getattr(error, "reason", None) or error)) from error
