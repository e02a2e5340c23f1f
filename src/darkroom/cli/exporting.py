"""``export``: a trained model as files that other programs read: MXNet's, ONNX, class names, a script that predicts."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import ClientError

from darkroom.cli.connection import Connection, connect, message_of
from darkroom.cli.console import Failure, err, out, plain, reason_of
from darkroom.cli.servable import servable
from darkroom.formats.archives import BadArchive, unpack


def export(
    job: Annotated[str, typer.Argument(help="Name of a training job.", metavar="JOB")],
    folder: Annotated[Path | None, typer.Argument(help="Where to; a new folder named like the job.")] = None,
) -> None:
    """Write a trained model as ONNX and as MXNet's files, with its class names and a short script that predicts."""
    target = folder or Path(job)
    if target.exists() and not target.is_dir():
        raise Failure(f"{target} is a file: name a new folder", 2)
    if target.is_dir() and any(target.iterdir()):
        raise Failure(f"{target} is not empty: name a new folder", 2)
    connection = connect()
    url = servable(connection, job).model_data
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        model = Path(scratch) / "model"
        _fetch(connection, url, Path(scratch) / "model.tar.gz", model)
        files = _export(model, target, job)
    for path in files:
        out.print(f"{path.stat().st_size:>12,} B  {plain(path)}")
    err.print(f"Try it: [bold]python {plain(target / 'predict.py')} photo.jpg[/]")


def _fetch(connection: Connection, url: str, archive: Path, model: Path) -> None:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    model.mkdir()
    try:
        connection.s3.download_file(bucket, key, str(archive))
        unpack(archive, model, url)
    except ClientError as error:
        raise Failure(f"{url} cannot be fetched: {message_of(error)}") from None
    except BadArchive as error:
        raise Failure(str(error)) from None


def _export(model: Path, target: Path, job: str) -> list[Path]:
    try:
        from darkroom.compiler import exporting  # noqa: PLC0415 - heavy: onnx
        from darkroom.compiler.errors import CompileError  # noqa: PLC0415
    except ImportError as error:
        raise Failure(f"export needs what compiling needs ({error.name}): pip install 'darkroom[compile]'") from None
    try:
        return exporting.export(model, target)
    except CompileError as error:
        if (model / "compiled.onnx").is_file():
            raise Failure(f"{job} is a compiled model: name the training job that it was made of", 2) from None
        raise Failure(f"the model of {job} cannot be exported: {error}") from None
    except OSError as error:
        raise Failure(f"{target} cannot be written: {reason_of(error)}") from None
