"""How the command line speaks: results on stdout, everything else on stderr, plain text where nobody looks.

rich itself honours NO_COLOR, and leaves colours and moving bars out where the output is no terminal.
"""

import difflib
import re
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape

# category Cc but for tab and newline, and what stands in names that are no UTF-8
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
PIPED_COLUMNS = 240  # what a program reads must not be cut to the width of a terminal that is not there
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
err = Console(highlight=False, soft_wrap=True, stderr=True)


class Failure(Exception):
    """What the user is told, in one line. ``exit_code`` 2: the command should be written differently; 1: it failed."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def plain(text: object) -> str:
    """Text that came from a user (a path, the name of a class), safe inside markup and for the terminal."""
    return escape(printable(str(text)))


def printable(text: str) -> str:
    """Without control characters, which a terminal would obey, and without what no terminal can be sent."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def reason_of(error: OSError) -> str:
    """In words, and never nothing."""
    return error.strerror or str(error) or type(error).__name__


def unknown(kind: str, name: str, known: Iterable[str]) -> Failure:
    """No such name: say so, and name the ones that look like it."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
    if not near:
        return Failure(f"no {kind} named {name!r}; there is none at all yet", 2)
    return Failure(f"no {kind} named {name!r}; did you mean {' or '.join(near)}?", 2)


def say_failure(message: str) -> None:
    err.print("[bold red]error[/]", end=" ")
    err.print(printable(message), markup=False)


def duration(seconds: float) -> str:
    """``12 s``, ``3 min 5 s``, ``2 h 10 min``: two units at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
