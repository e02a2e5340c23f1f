"""How a launcher starts the process that feeds pipes, and hears of its trouble.

The launcher imports this: keep it light.
"""

import os
import sys

from darkroom.executors.leftovers import MARK

TROUBLE_FD = 3  # where the feeder writes, in one line, why it cannot go on; its end without a word is trouble, too
TROUBLE_BYTES = 4096
MODULE = "darkroom.executors.feeding"


def start(folder: str, view: str, base: str) -> int:
    """Start feeding; a descriptor to hear of trouble. Raises OSError."""
    trouble, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", MODULE, folder, view, base],
            dict(os.environ) | {MARK: folder},
            file_actions=[(os.POSIX_SPAWN_DUP2, told, TROUBLE_FD)],
            setsid=True,
        )
    finally:
        os.close(told)
    return trouble


def heard(trouble: int) -> str:
    """What the feeder said; empty where it ended."""
    return os.read(trouble, TROUBLE_BYTES).decode("utf-8", "replace").strip()
