"""Where serving workers listen: each in a short folder of its own, whatever TMPDIR is.

The path of a unix socket has at most 107 bytes.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from darkroom.errors import Unavailable

MAX_PATH_BYTES = 107


def path_for(root: Path, task_id: str) -> Path:
    """The socket of a task of the executor at ``root``."""
    name = hashlib.sha256(f"{root.absolute()}/{task_id}".encode()).hexdigest()[:16]
    below = Path(f"darkroom-{os.geteuid()}-{name}", "worker.sock")
    path = tempfile.gettempdir() / below
    return path if len(os.fsencode(path)) <= MAX_PATH_BYTES else Path("/tmp") / below


def prepare(socket: Path) -> None:
    """Make the private folder of a socket. Raises Unavailable where someone else has it."""
    folder = socket.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
        raise Unavailable(f"{folder} belongs to someone else; remove it, or set TMPDIR to a folder of your own")


def discard(socket: Path) -> None:
    """Remove a socket and its folder, where they are."""
    with suppress(FileNotFoundError, NotADirectoryError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()
