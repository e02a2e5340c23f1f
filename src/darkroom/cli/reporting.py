"""``report``: the page that a training job leaves about itself, fetched through the wire, and what it says in short."""

import os
import tarfile
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import urlsplit

import typer
from botocore.exceptions import ClientError

from darkroom.cli.connection import Connection, code_of, connect
from darkroom.cli.console import Failure, out, plain
from darkroom.cli.jobs import JobArgument, describe
from darkroom.cli.watching import ENDED
from darkroom.pages.page import figures_of

PAGE, ARCHIVE = "report.html", "output.tar.gz"
MAX_BYTES = 1 << 26  # of a page
ABSENT = ("NoSuchKey", "404", "NoSuchBucket")
HARDEST = 3  # classes that are named


def report(
    job: JobArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the page goes; by default JOB-report.html.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Fetch a training job's report: curves, what it takes for what, its worst mistakes, every class."""
    connection = connect()
    described = describe(connection, job)
    if described["TrainingJobStatus"] not in ENDED:
        raise Failure(f"{job} has not ended yet, and the report comes with its end; watch it: darkroom logs {job} -f")
    page = fetched(connection, described)
    if page is None:
        raise Failure(f"{job} left no report: only jobs of the built-in algorithm do. Its log: darkroom logs {job}")
    target = output or Path(f"{job}-report.html")
    try:
        target.write_bytes(page)
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror}") from None
    for line in summary(figures_of(page.decode("utf-8", "replace"))):
        out.print(line)
    out.print(f"Report of {job}: {target}", markup=False)
    if show and not webbrowser.open(target.resolve().as_uri()):
        raise Failure(f"no browser can be opened here; open {target.resolve()} in one")


def fetched(connection: Connection, described: Mapping[str, Any]) -> bytes | None:
    """The page, from beside the model or out of the archive of what the job left; None where there is none."""
    place = urlsplit(described["OutputDataConfig"]["S3OutputPath"])
    folder = "/".join(part for part in (place.path.strip("/"), described["TrainingJobName"], "output") if part)
    beside = _object(connection, place.netloc, f"{folder}/{PAGE}")
    if beside is not None:
        return _bounded(beside)
    archive = _object(connection, place.netloc, f"{folder}/{ARCHIVE}")
    if archive is None:
        return None
    with tempfile.TemporaryFile() as file:
        while chunk := archive.read(1 << 20):
            file.write(chunk)
        file.seek(0)
        return _from_archive(file)


def summary(figures: Mapping[str, Any] | None) -> list[str]:
    """The page in some lines; none where it is not one of ours."""
    try:
        return list(_said(figures)) if figures else []
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _said(figures: Mapping[str, Any]) -> Iterator[str]:
    images, done = figures["images"], figures["epochs"]
    yield f"{plain(figures['network'])}, {images['train']:,} images of {figures['classes']} classes, {len(done)} epochs"
    if figures["accuracy"] is not None:
        reached = f"accuracy [bold]{figures['accuracy']:.1%}[/]"
        yield f"  {reached} on {images['validation']:,} validation images, epoch {figures['stored_epoch']}"
    rows = [row for row in figures["per_class"] if row["images"]]
    hardest = [
        row for row in sorted(rows, key=lambda row: row["right"] / row["images"]) if row["right"] < row["images"]
    ]
    if hardest:
        named = ", ".join(f"{plain(row['name'])} {row['right'] / row['images']:.0%}" for row in hardest[:HARDEST])
        yield f"  hardest to find: {named}"
    if figures["confused"]:
        pair = figures["confused"][0]
        yield f"  most confused: {plain(pair['true'])} taken for {plain(pair['named'])}, {pair['images']} images"


def _object(connection: Connection, bucket: str, key: str) -> Any:
    """Its body; None where it is not there."""
    try:
        return connection.s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if code_of(error) in ABSENT:
            return None
        raise


def _from_archive(file: IO[bytes]) -> bytes | None:
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as members:
            for member in members:
                if member.isreg() and os.path.normpath(member.name) == PAGE:
                    content = members.extractfile(member)
                    return None if content is None else _bounded(content)
    except (tarfile.TarError, EOFError, OSError):
        return None
    return None


def _bounded(body: Any) -> bytes:
    page: bytes = body.read(MAX_BYTES + 1)
    if len(page) > MAX_BYTES:
        raise Failure(f"the report has more than {MAX_BYTES >> 20} MiB, which no report of ours has")
    return page
