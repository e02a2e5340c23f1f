"""``predict``: photos to an endpoint, and its answers as class names, probabilities and times."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.table import Table

from darkroom.cli.connection import Connection, code_of, connect, message_of
from darkroom.cli.console import Failure, err, out, plain
from darkroom.cli.deploying import describe_endpoint
from darkroom.cli.jobs import plain_table
from darkroom.formats.folders import SUFFIXES

VERBOSE = "application/jsonlines;verbose"
CONTENT_TYPE = "application/x-image"
BAR_WIDTH = 16
MAX_BODY_BYTES = 5 * 2**20  # SageMaker's own limit is 6 MiB, and cameras make larger files
LARGE_SIDE = 1024  # pixels, the shorter side


@dataclass(frozen=True)
class Answer:
    """``ranking`` holds (class, probability 0…1), most probable first; ``fault`` where the photo was refused."""

    photo: Path
    ranking: tuple[tuple[str, float], ...] = ()
    seconds: float = 0.0
    fault: str = ""


def predict(
    endpoint: Annotated[str, typer.Argument(help="Name of an endpoint.", metavar="ENDPOINT")],
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.", metavar="PHOTO…")],
    top: Annotated[int | None, typer.Option("--top", "-k", help="Classes to show of each photo.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with every class.")] = False,
) -> None:
    """Say what is in photos: class, probability, and how long the answer took.

    Where photos lie in folders named like the classes, say also how many answers were right.
    """
    paths = found(photos)
    connection = connect()
    describe_endpoint(connection, endpoint)
    answers = ask(connection, endpoint, paths, time.perf_counter)
    if as_json:
        for answer in answers:
            print(json.dumps(record(answer)), flush=True)
        return
    show(list(answers), top or (3 if len(paths) == 1 else 1))


def found(photos: Sequence[Path]) -> list[Path]:
    """The files named, and every photo below the folders named. Raises Failure for one that is not there."""
    paths: list[Path] = []
    for path in photos:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise Failure(f"there is no photo in {path}", 2)
            paths += inside
        elif path.is_file():
            paths.append(path)
        else:
            raise Failure(f"there is no file {path}", 2)
    return paths


def ask(connection: Connection, endpoint: str, photos: Sequence[Path], clock: Callable[[], float]) -> Iterator[Answer]:
    """One request after another, so that each time is that of one photo alone."""
    for photo in photos:
        body = _sendable(photo)
        began = clock()
        try:
            said = connection.runtime.invoke_endpoint(
                EndpointName=endpoint, ContentType=CONTENT_TYPE, Accept=VERBOSE, Body=body
            )["Body"].read()
        except ClientError as error:
            if code_of(error) != "ModelError" and "length" not in message_of(error):
                raise
            yield Answer(photo, fault=_reason(error))
            continue
        yield Answer(photo, ranked(json.loads(said)), clock() - began)


def _sendable(photo: Path) -> bytes:
    """The file's own bytes; a very large photo is made smaller, to a size still far above any network's."""
    body = photo.read_bytes()
    if len(body) <= MAX_BODY_BYTES:
        return body
    from darkroom.imaging.shrink import shrink  # noqa: PLC0415 - heavy: cv2

    try:
        return shrink(body, LARGE_SIDE)
    except ValueError:
        return body  # let the endpoint say what is wrong with it


def _reason(error: ClientError) -> str:
    return str(error.response.get("OriginalMessage") or message_of(error)).removeprefix("ClientError: ")


def ranked(said: Any) -> tuple[tuple[str, float], ...]:
    """(class, probability), most probable first, of an answer with names or, from a model without them, of a list."""
    if isinstance(said, dict):
        probabilities = said.get("probabilities") or said["prediction"]
        labels = said.get("labels") or []
    else:
        probabilities, labels = said, []
    names = [str(label) for label in labels] or [f"class {k}" for k in range(len(probabilities))]
    pairs = zip(names, map(float, probabilities), strict=True)
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def record(answer: Answer) -> dict[str, Any]:
    if answer.fault:
        return {"photo": str(answer.photo), "error": answer.fault}
    classes = [{"class": name, "probability": probability} for name, probability in answer.ranking]
    return {"photo": str(answer.photo), "latency_ms": round(answer.seconds * 1000, 2), "classes": classes}


def show(answers: Sequence[Answer], top: int) -> None:
    """A table, and what it comes to. Raises Failure where no photo was answered."""
    truths = expected(answers)
    table = plain_table("photo", "class", "probability", "", "ms")
    table.columns[-1].justify = "right"
    good = [answer for answer in answers if not answer.fault]
    for answer in good:
        _add_rows(table, answer, top, truths)
    if good:
        out.print(table)
    for answer in answers:
        if answer.fault:
            err.print(f"[red]{plain(_shown(answer.photo))}[/] {plain(answer.fault)}")
    if not good:
        raise Failure("no photo could be read; the reasons stand above")
    if len(good) > 1:
        out.print("\n" + summary(good, truths))


def summary(good: Sequence[Answer], truths: bool) -> str:
    times = sorted(answer.seconds * 1000 for answer in good)
    said = [f"{len(good)} photos"]
    if truths:
        right = sum(answer.ranking[0][0] == answer.photo.parent.name for answer in good)
        said.append(f"[bold]{right} of them right ({right / len(good):.0%})[/]")
    said.append(f"{median(times):.1f} ms in the middle, {times[-1]:.1f} ms at most")
    return ", ".join(said)


def expected(answers: Sequence[Answer]) -> bool:
    """Whether every photo lies in a folder named like a class, so that the right answer is known."""
    ranked = [answer for answer in answers if answer.ranking]
    return bool(ranked) and all(answer.photo.parent.name in {name for name, _ in answer.ranking} for answer in ranked)


def bar(probability: float, width: int = BAR_WIDTH) -> str:
    """A bar of block characters, an eighth of a character fine."""
    eighths = round(probability * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _add_rows(table: Table, answer: Answer, top: int, truths: bool) -> None:
    title = plain(_shown(answer.photo))
    for rank, (name, probability) in enumerate(answer.ranking[:top]):
        wrong = truths and rank == 0 and name != answer.photo.parent.name
        first = rank == 0
        table.add_row(
            title if first else "",
            f"[red]{plain(name)} ✗[/]" if wrong else plain(name),
            f"{probability:.1%}",
            f"[{'cyan' if first else 'dim'}]{bar(probability)}[/]",
            f"{answer.seconds * 1000:.1f}" if first else "",
        )


def _shown(photo: Path) -> str:
    """The last two parts of a path: enough to know the photo by."""
    return str(Path(*photo.parts[-2:]))
