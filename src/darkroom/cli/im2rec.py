"""``darkroom im2rec``: MXNet's tool by its own words. They are read by ``darkroom.im2rec``, not by typer, so that a
recipe for the one works with the other."""

import sys
from collections.abc import Sequence

import typer

from darkroom.im2rec import command


def im2rec(ctx: typer.Context) -> None:
    """List the images of a folder (--list), or pack them into RecordIO files; takes the words of MXNet's im2rec.py."""
    raise typer.Exit(command.main(as_typed(ctx.args, sys.argv), "darkroom im2rec"))


def as_typed(words: Sequence[str], line: Sequence[str]) -> Sequence[str]:
    """``words`` as they end the whole ``line``, with the first ``--``, which typer takes out and --exts may need."""
    tail = list(line[-len(words) - 1 :])
    if "--" not in tail:
        return words
    without = list(tail)
    without.remove("--")
    return tail if without == list(words) else words
