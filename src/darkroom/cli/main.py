"""The darkroom command: which commands there are, and how any error becomes one line and an exit code."""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import botocore.exceptions
import typer

import darkroom
from darkroom.cli import (
    comparing,
    compiling,
    deleting,
    deploying,
    exporting,
    im2rec,
    inspecting,
    jobs,
    lifecycle,
    predicting,
    reporting,
    training,
    weights,
)
from darkroom.cli.console import Failure, out, reason_of, say_failure
from darkroom.cli.options import HomeOption
from darkroom.errors import DarkroomError, Invalid

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Darkroom: folders of photos to a served image classifier, on your own hardware, with SageMaker's own API.",
)
# What follows `darkroom run` belongs to that command, its options included.
CONTEXTS: dict[Callable[..., None], dict[str, Any]] = {
    lifecycle.run: {"ignore_unknown_options": True, "allow_interspersed_args": False},
    im2rec.im2rec: {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
}
SERVER, LEARN, SERVE = "The server", "Learn", "Serve"
PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    SERVER: (lifecycle.up, lifecycle.down, lifecycle.status, lifecycle.env, lifecycle.run, lifecycle.settings),
    LEARN: (inspecting.inspect, im2rec.im2rec, training.train, jobs.jobs, jobs.logs, jobs.stop, reporting.report),
    SERVE: (
        compiling.compile,
        deploying.deploy,
        deploying.endpoints,
        predicting.predict,
        comparing.bench,
        exporting.export,
        deleting.delete,
    ),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel, context_settings=CONTEXTS.get(command))(command)
app.add_typer(weights.app, name="weights", rich_help_panel=LEARN)


def _say_version(asked: bool) -> None:
    if asked:
        out.print(f"darkroom {darkroom.__version__}")
        raise typer.Exit()


@app.callback()
def every_command(
    ctx: typer.Context,
    home: HomeOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    ctx.obj = home
    if home is not None:  # another spelling of the variable, which also reaches whatever is started from here
        os.environ["DARKROOM_HOME"] = str(home.expanduser().absolute())


def main() -> None:
    try:
        app()
    except Failure as failure:
        say_failure(str(failure))
        sys.exit(failure.exit_code)
    except DarkroomError as error:
        say_failure(str(error))
        sys.exit(2 if isinstance(error, Invalid) else 1)
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
        say_failure("the server does not answer; see: darkroom status, and start it with: darkroom up")
        sys.exit(1)
    except botocore.exceptions.ClientError as error:
        say_failure(error.response["Error"].get("Message") or str(error))
        sys.exit(1)
    except OSError as error:  # of a disk that is full, read-only or gone
        path = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        say_failure(f"{path}{reason_of(error)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
