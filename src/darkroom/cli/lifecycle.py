"""``up``, ``down``, ``status``, ``env``, ``run``, ``settings``: the server, and the way of other programs to it."""

import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from darkroom import client_files, identity, instance
from darkroom.cli import server
from darkroom.cli.console import Failure, err, out, plain
from darkroom.cli.options import with_settings
from darkroom.settings import Settings, help_of

SdkOption = Annotated[
    int | None,
    typer.Option("--sdk", help="Hold pip to this generation of the sagemaker SDK.", min=1, max=3, metavar="1|2|3"),
]
SHELLS = ("sh", "fish")


@with_settings
def up(
    ctx: typer.Context,
    *,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and log to this terminal.")] = False,
    **given: Any,
) -> None:
    """Start the server and say how to point a client at it. Does nothing where it runs already."""
    settings = server.loaded(**given)
    named_home = ctx.obj or given["home"]  # what the next commands must name, too
    if foreground:
        os.execve(*server.foreground(settings))
    if server.start(settings):
        out.print(f"[bold green]Darkroom is up[/] at {client_files.url(settings)}")
        _say_how_to_use(settings, named_home)
        return
    running = server.settings_of_running(settings)
    out.print(f"[bold green]Darkroom runs already[/] at {client_files.url(running)}")
    if any(value is not None for name, value in given.items() if name != "home"):
        err.print("Its settings stay as they are; to change them: darkroom down, then darkroom up again")
    _say_how_to_use(running, named_home)


def down() -> None:
    """Stop the server. Training jobs go on by themselves and are found again at the next start."""
    settings = server.loaded()
    stopped = server.stop(settings.home)
    if stopped is None:
        out.print(f"No server runs on {settings.home}", markup=False)
        return
    out.print(f"Darkroom is down (process {stopped.pid} ended)")
    out.print("Running training jobs go on, and endpoints come back: darkroom up picks them up again", style="dim")


def status(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Say whether the server runs, where, and what it says of itself. Exit code 1 where it does not."""
    settings = server.loaded()
    found = instance.find(settings.home)
    said = server.health(server.settings_of_running(settings)) if found else None
    if as_json:
        record = {"running": found is not None, "healthy": said is not None, "home": str(settings.home)}
        record |= dataclasses.asdict(found) if found else {}
        out.print(json.dumps(record | {"health": said}), markup=False)
    elif found is None:
        out.print(f"Darkroom does not run on {settings.home}; start it with: darkroom up", markup=False)
    else:
        _say_status(server.settings_of_running(settings), found.pid, said)
    if said is None:
        raise typer.Exit(1)


def env(
    sdk: SdkOption = None,
    shell: Annotated[
        str, typer.Option("--shell", help="Whose syntax: sh (bash, zsh …) or fish.", metavar="sh|fish")
    ] = "sh",
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print the variables that lead clients here. For bash and zsh: eval "$(darkroom env)"."""
    if shell not in SHELLS:
        raise Failure(f"no shell {shell!r}; choose one of {', '.join(SHELLS)}", 2)
    settings = server.settings_of_running(server.loaded())
    variables = _variables(settings, sdk)
    if as_json:
        print(json.dumps(variables, indent=1))
        return
    print("\n".join(exports(variables, client_files.interfering(os.environ), shell)))


def run(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.", metavar="-- CMD…")],
    sdk: SdkOption = None,
) -> None:
    """Run a command with the variables that env prints; start the server first where it is not up."""
    settings = server.loaded()
    if server.start(settings):
        err.print(f"[dim]started Darkroom at {client_files.url(settings)}; stop it with: darkroom down[/]")
    settings = server.settings_of_running(settings)
    environ = {k: v for k, v in os.environ.items() if k not in client_files.interfering(os.environ)}
    try:
        os.execvpe(command[0], command, environ | _variables(settings, sdk))
    except FileNotFoundError:
        raise Failure(f"no command named {command[0]!r} on the PATH", 127) from None
    except PermissionError:
        raise Failure(f"{command[0]!r} may not be executed", 126) from None


def settings() -> None:
    """Print every setting: its name, variable, value now, and what it does."""
    now = server.loaded()
    table = Table("setting", "value now", "what it does", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for field in dataclasses.fields(Settings):
        value = getattr(now, field.name)
        table.add_row(field.name, "(set)" if field.name == "s3_secret" and value else str(value), help_of(field.name))
    out.print(table, soft_wrap=False)
    out.print("Each is an option of darkroom up, a variable (DARKROOM_PORT for port) and a line of", style="dim")
    out.print(f"{now.home / 'darkroom.toml'} (port = 9461); they count in this order.", style="dim", markup=False)


def exports(variables: dict[str, str], unset: list[str], shell: str) -> list[str]:
    """Lines for ``eval``, each value quoted so that any shell reads it back unchanged."""
    if shell == "fish":
        lines = [f"set --erase {name};" for name in unset]
        return lines + [f"set --global --export {name} {_fish_quoted(value)};" for name, value in variables.items()]
    lines = [f"unset {' '.join(unset)}"] if unset else []
    return lines + [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _fish_quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _variables(settings: Settings, sdk: int | None) -> dict[str, str]:
    keys = identity.load_or_create(settings.home)
    variables = client_files.environment(settings, keys, sdk)
    if settings.home != Settings.home.expanduser():  # so that darkroom itself finds this server, too
        variables["DARKROOM_HOME"] = str(settings.home)
    return variables


def _say_how_to_use(settings: Settings, named_home: Path | None) -> None:
    home = f" --home {shlex.quote(str(named_home))}" if named_home else ""
    rows = (
        (f'eval "$(darkroom{home} env)"', "boto3, the sagemaker SDK and the aws CLI of this shell use it"),
        (f"darkroom{home} run -- jupyter lab", "or any other command"),
        (f"darkroom{home} train FOLDER", "learn from a folder of class folders"),
        (f"darkroom{home} down", "stop it"),
    )
    width = max(len(command) for command, _ in rows)
    for command, meaning in rows:
        out.print(f"  [bold]{plain(command)}[/]{'':{width - len(command)}}  [dim]{meaning}[/]")
    out.print(f"data: {settings.home}   log: {settings.home / instance.LOG}", style="dim", markup=False)


def _say_status(settings: Settings, pid: int, said: dict[str, Any] | None) -> None:
    if said is None:
        out.print(
            f"[bold red]Darkroom runs but does not answer[/] (process {pid}); see {plain(settings.home / instance.LOG)}"
        )
        return
    out.print(f"[bold green]Darkroom is up[/] at {client_files.url(settings)}")
    rows = {"process": pid, "region": settings.region, "home": settings.home, "log": settings.home / instance.LOG}
    for name, value in (rows | {k: v for k, v in said.items() if k not in ("status", "pid", *rows)}).items():
        out.print(f"  {name:10} {value}", markup=False)
