"""``make demo``: the way of a newcomer, command by command, on a server of its own that leaves nothing behind.

Every step is a command that anyone can type; it is shown before it runs.
"""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
ROOT = EXAMPLES.parent
JOB = "demo"
STEPS = (
    ("Start a server", ("up",)),
    ("Learn from the photos of six classes", ("train", "examples/photos", "--name", JOB)),
    ("Serve what was learned", ("deploy", JOB)),
    ("Ask about photos that training has never seen", ("predict", JOB, "examples/unseen")),
    ("Clean up", ("delete", JOB, "--yes")),
)
BOLD, DIM, PLAIN = (
    ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("",) * 3
)


def main() -> int:
    began = time.monotonic()
    # Short, for a home holds unix sockets, whose paths end at some hundred characters.
    with tempfile.TemporaryDirectory(prefix="darkroom-demo-") as home:
        environ = {**os.environ, "DARKROOM_HOME": home, "DARKROOM_PORT": str(free_port())}
        try:
            for title, arguments in STEPS:
                print(f"\n{BOLD}{title}{PLAIN}\n{DIM}$ darkroom {shlex.join(arguments)}{PLAIN}", flush=True)
                if code := darkroom(arguments, environ):
                    print(f"\nthe demo ended at: darkroom {shlex.join(arguments)}", file=sys.stderr)
                    return code
        except KeyboardInterrupt:
            return 130
        finally:
            darkroom(("down",), environ, quiet=True)
    print(f"\n{BOLD}That was all, in {time.monotonic() - began:.0f} s.{PLAIN}")
    print("To keep what you train: .venv/bin/darkroom up, then docs/tutorial/first-classifier.md")
    return 0


def darkroom(arguments: tuple[str, ...], environ: dict[str, str], quiet: bool = False) -> int:
    """Run the command as a user would; its exit code."""
    command = [sys.executable, "-m", "darkroom.cli.main", *arguments]
    return subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.DEVNULL if quiet else None).returncode


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
