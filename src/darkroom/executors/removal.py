"""Removes what a task left: also folders it made unreadable, and folders nested deeper than a path can name."""

import os
from contextlib import suppress
from pathlib import Path

OPEN = 0o700


def remove(folder: Path) -> None:
    """Remove a folder and all below it; nothing where it is gone. Raises OSError.

    Folders are moved up before they are emptied, so that neither the call stack nor a path grows with their depth.
    """
    moved_to = os.path.join(folder, f".removed-{os.urandom(4).hex()}-")
    todo, count = [os.fspath(folder)], 0
    with suppress(FileNotFoundError):
        while todo:
            path = todo.pop()
            _open_up(path)
            for entry in list(os.scandir(path)):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                elif path == os.fspath(folder):
                    todo.append(entry.path)
                else:
                    _open_up(entry.path)  # moving a folder writes to it
                    count += 1
                    os.rename(entry.path, f"{moved_to}{count}")
                    todo.append(f"{moved_to}{count}")
            if path != os.fspath(folder):
                os.rmdir(path)
        os.rmdir(folder)


def _open_up(folder: str) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        os.chmod(folder, OPEN)
