"""Programs that the command line starts: the server of ``darkroom up``, which goes on when its starter has ended, and
short ones that are asked something."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def start_detached(argv: Sequence[str], log_path: Path, environ: Mapping[str, str] = os.environ) -> int:
    """Start argv[0] (a path, or a name on PATH) in a session of its own; output is appended to the log. Its process id.

    Raises OSError where it cannot be started.
    """
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return os.posix_spawnp(
        argv[0],
        list(argv),
        dict(environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_path), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def answer_of(argv: Sequence[str], patience_s: float) -> str | None:
    """What the program prints to its stdout; None where it prints nothing in time, and is ended. Its exit code is left
    to what it says."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=patience_s, text=True)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout
