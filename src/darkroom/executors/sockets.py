"""Where serving workers listen: in a short folder, for the path of a unix socket has at most 107 bytes."""

import hashlib
import os
import tempfile
from pathlib import Path

from darkroom.errors import Unavailable


def folder_for(root: Path) -> Path:
    """A private folder for the sockets of the tasks below ``root``. Raises Unavailable where someone else has it."""
    folder = Path(tempfile.gettempdir()) / f"darkroom-{os.geteuid()}-{_short(str(root.absolute()), 8)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if folder.is_symlink() or about.st_uid != os.geteuid():
        raise Unavailable(f"{folder} belongs to someone else; remove it, or set TMPDIR to a folder of your own")
    return folder


def path_for(folder: Path, task_id: str) -> Path:
    return folder / f"{_short(task_id, 16)}.sock"


def _short(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
