"""``darkroom im2rec``: MXNet's tool by its own words. They are read by ``darkroom.im2rec``, not by typer, so that a
recipe for the one works with the other."""

import typer

from darkroom.im2rec import command


def im2rec(ctx: typer.Context) -> None:
    """List the images of a folder (--list), or pack them into RecordIO files; takes the words of MXNet's im2rec.py."""
    raise typer.Exit(command.main(ctx.args, "darkroom im2rec"))
