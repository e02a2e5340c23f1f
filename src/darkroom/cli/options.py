"""Command-line options made from the table of settings: one option a field, so that no list is kept twice."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from darkroom.settings import Settings, help_of


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for every setting; it receives them as keywords, None where not given."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        command(**given)

    made = [_option(f.name, f.type) for f in fields(Settings)]
    del wrapped.__wrapped__  # its signature is the one made here
    wrapped.__signature__ = inspect.Signature([*own, *made])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*own, *made]}
    return wrapped


def _option(name: str, kind: Any) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    flags = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    annotation = Annotated[Optional[kind], typer.Option(flags, help=help_of(name), show_default=False)]  # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="The server's home folder, where it is not DARKROOM_HOME or ~/.darkroom.", metavar="DIR"
    ),
]
