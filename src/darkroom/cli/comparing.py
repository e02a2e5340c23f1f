"""``bench``: two endpoints, or two jobs, side by side: times of requests, memory, cold start, accuracy, and a chart."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from botocore.credentials import Credentials
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from darkroom import client_files, identity
from darkroom.cli import comparison_page, deleting, deploying
from darkroom.cli.comparison_page import Figures
from darkroom.cli.connection import Connection, connect
from darkroom.cli.console import Failure, err, out, plain
from darkroom.cli.jobs import plain_table
from darkroom.cli.predicting import MAX_BODY_BYTES
from darkroom.cli.racing import QUANTILES, Line, Photo, Side, agreement, race
from darkroom.cli.servable import servable
from darkroom.cli.watching import LogReader
from darkroom.formats import folders
from darkroom.formats.recordio import RecordError, RecordFile

GROUP = "/aws/sagemaker/Endpoints"
READY = re.compile(r"Ready ([\d.]+) s after its start, with (\d+) MiB of memory")
TEMPORARY = "bench-"
REQUESTS = 1000

T = TypeVar("T")


def bench(
    a: Annotated[str, typer.Argument(help="The original: an endpoint, or a training or compilation job.", metavar="A")],
    b: Annotated[str, typer.Argument(help="What it is held against, such as the compiled job.", metavar="B")],
    rec: Annotated[
        Path, typer.Option("--rec", help="Photos: a .rec file, or a folder of class folders.", metavar="FILE|FOLDER")
    ],
    requests: Annotated[int, typer.Option("--requests", "-n", help="Requests to each side.", min=1)] = REQUESTS,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where NAME.png and NAME.html go.")] = Path("bench"),
) -> None:
    """Compare two models: the same photos to both, in turns, through their endpoints.

    Jobs are deployed for the comparison and removed afterwards.
    """
    if a == b:
        raise Failure("name two different endpoints or jobs", 2)
    photos, connection = read(rec, requests), connect()
    with _endpoints(connection, (a, b)) as endpoints:
        sides = [Side(name, endpoint) for name, endpoint in zip((a, b), endpoints, strict=True)]
        _run(connection, sides, photos, requests)
        figures = [_figures(connection, side, photos) for side in sides]
    show(figures[0], figures[1], notes(sides, photos, requests), output)


def read(path: Path, most: int) -> list[Photo]:
    """At most ``most`` photos, from all over the file or folder. Raises Failure."""
    photos = _of_folder(path, most) if path.is_dir() else _of_records(path, most)
    sendable = [photo for photo in photos if len(photo.data) <= MAX_BODY_BYTES]
    if not sendable:
        raise Failure(f"there is no photo in {path} that fits into a request", 2)
    return sendable


def _of_folder(path: Path, most: int) -> list[Photo]:
    try:
        found = folders.scan(path)
    except folders.FolderError as error:
        raise Failure(str(error), 2) from None
    return [Photo(s.path.read_bytes(), found.classes[s.label]) for s in spread(found.samples, most)]


def _of_records(path: Path, most: int) -> list[Photo]:
    try:
        with RecordFile(path) as file:
            images = [file.image(place) for place in spread(range(len(file)), most)]
            # several labels of one photo: there is no one right answer
            return [Photo(bytes(data), int(h.label[0]) if len(h.label) == 1 else None) for h, data in images]
    except (RecordError, OSError) as error:
        raise Failure(f"{path} cannot be read: {error}", 2) from None


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many, at even distances."""
    if len(items) <= most:
        return list(items)
    return [items[k * len(items) // most] for k in range(most)]


@contextmanager
def _endpoints(connection: Connection, names: Sequence[str]) -> Iterator[list[str]]:
    """Names of endpoints in service: those that are there, and temporary ones for jobs, removed at the end."""
    there, made = deploying.names(connection), list[str]()
    try:
        endpoints = []
        for name in names:
            if name in there:
                deploying.wait_in_service(connection, name)
                endpoints.append(name)
                continue
            endpoints.append(_deploy(connection, name, made))
        yield endpoints
    finally:
        for endpoint in made:
            for item in deleting.family(connection, endpoint):
                deleting.remove(connection, *item)
        deleting.wait_until_gone(connection, made)


def _deploy(connection: Connection, job: str, made: list[str]) -> str:
    """Its name is put into ``made`` before anything is waited for. Raises Failure."""
    servable(connection, job)  # a name that is neither is refused before anything is made
    endpoint = f"{TEMPORARY}{job}"[:63].rstrip("-")
    if endpoint in deploying.names(connection):
        raise Failure(f"{endpoint} is there already; if no other comparison runs: darkroom delete {endpoint}")
    deploying.create(connection, job, endpoint)
    made.append(endpoint)
    deploying.wait_in_service(connection, endpoint)
    return endpoint


def _run(connection: Connection, sides: Sequence[Side], photos: Sequence[Photo], requests: int) -> None:
    keys = identity.load_or_create(connection.settings.home)
    line = Line(client_files.url(connection.settings), Credentials(keys.access_key, keys.secret_key), connection.region)
    try:
        with _progress(requests) as step:
            for _ in race(line, sides, photos, requests):
                step()
    finally:
        line.close()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    if not err.is_terminal:
        err.print(f"Asking both {total} times")
        yield lambda: None
        return
    with Bar(TextColumn("[bold]Asking both[/]"), BarColumn(), MofNCompleteColumn(), console=err, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def _figures(connection: Connection, side: Side, photos: Sequence[Photo]) -> Figures:
    started_s, memory_mib = ready(connection, side.endpoint)
    quantiles = tuple(side.quantile_ms(share) for share in QUANTILES)
    return Figures(side.name, quantiles, memory_mib, started_s, side.accuracy(photos))


def ready(connection: Connection, endpoint: str) -> tuple[float | None, float | None]:
    """(seconds from its start to its first answer, MiB then) of the endpoint's newest worker, as its log says."""
    lines = LogReader(connection, "", f"{GROUP}/{endpoint}", tail="", every=True).read()
    found = [match for line in lines if (match := READY.search(line))]
    return (float(found[-1][1]), float(found[-1][2])) if found else (None, None)


def notes(sides: Sequence[Side], photos: Sequence[Photo], requests: int) -> list[str]:
    same = agreement(sides[0], sides[1])
    return [
        f"{requests} requests to each, one at a time and in turns, with {len(photos)} photos; times are of whole "
        "signed requests, as their client sees them.",
        f"Both name the same class for {same:.1%} of the photos.",
        "Memory and cold start are those of a worker as it comes into service: from the start of its process to its "
        "first answer.",
    ]


def show(a: Figures, b: Figures, said: Sequence[str], output: Path) -> None:
    table = plain_table("", plain(a.name), plain(b.name), "")
    for what, first, second, times in comparison_page.rows(a, b):
        table.add_row(what, first, second, f"[bold]{times}[/]")
    out.print(table)
    out.print(said[1], markup=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    picture, page = (output.with_name(f"{output.name}.{kind}") for kind in ("png", "html"))
    picture.write_bytes(comparison_page.png(a, b))
    page.write_text(comparison_page.page(a, b, said))
    out.print(f"Drawn in {picture} and {page}", markup=False)
