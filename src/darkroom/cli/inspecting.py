"""``inspect``: a dataset looked at before training: classes, sizes, what is odd, and a contact sheet."""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from darkroom.cli.console import Failure, err, out, plain
from darkroom.cli.jobs import plain_table

if TYPE_CHECKING:
    from darkroom.inspection.datasets import Dataset
    from darkroom.inspection.findings import Oddity
    from darkroom.inspection.summaries import ClassCount, Spread, Summary
    from darkroom.inspection.survey import Survey
    from darkroom.inspection.twins import Where

SEED = 0  # the same folder gives the same contact sheet
MOST_ROWS = 30  # classes in the terminal
MOST_NAMED = 5  # oddities of one kind in the terminal
THUMBNAIL = 96  # pixels
BAR = 24  # columns


def inspect(
    datasets: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of class folders, .rec files (or the beginning of their names), .lst files. Of several, such "
            "as training and validation, what lies in both is found.",
            metavar="DATASET...",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Where the images of a .lst lie, if not beside it.", metavar="FOLDER"),
    ] = None,
    decode: Annotated[
        bool | None,
        typer.Option(
            "--decode/--no-decode", help="Decode every image, or only doubtful ones; by default all up to 512 MB."
        ),
    ] = None,
    num_classes: Annotated[int | None, typer.Option(help="Labels must lie below it.", min=1)] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Where the contact sheet goes.", metavar="PATH")] = None,
    no_html: Annotated[bool, typer.Option("--no-html", help="No contact sheet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON, for programs.")] = False,
) -> None:
    """Look at photos before training: balance, sizes, damaged files, duplicates, and a contact sheet."""
    from darkroom.inspection import findings, opening, summaries, twins  # noqa: PLC0415 - heavy: cv2
    from darkroom.inspection.datasets import DatasetError  # noqa: PLC0415

    warnings.filterwarnings("ignore", module=r"PIL\.")  # what photos have in their margins is nobody's concern here
    try:
        opened = [dataset for path in datasets for dataset in opening.open_all(path, images)]
    except DatasetError as error:
        raise Failure(str(error), 2) from None
    surveys = _survey(opened, decode)
    figures = [summaries.summary(survey) for survey in surveys]
    oddities = findings.oddities(surveys, twins.exact(surveys), twins.near(surveys), num_classes)
    suggestion, checked = summaries.suggestion(figures[0]), said_of_the_check(figures)
    if as_json:
        out.print(_json(figures, oddities, suggestion, checked), markup=False)
    else:
        for found in figures:
            _print_summary(found)
        _print_oddities(oddities)
        words = " ".join(f"{name}={value}" for name, value in suggestion.items())
        out.print(f"[bold]To train with[/]  {plain(words)}")
        out.print(checked, style="dim")
    if not no_html and not (as_json and html is None):
        _write_sheet(html or default_page(datasets[0]), datasets, surveys, figures, oddities, suggestion, checked)


def default_page(dataset: Path) -> Path:
    """DATASET-inspection.html in the folder that the command runs in."""
    return Path(f"{dataset.resolve().name.removesuffix('.rec').removesuffix('.lst')}-inspection.html")


def said_of_the_check(summaries: "Sequence[Summary]") -> str:
    images, decoded = sum(s.images for s in summaries), sum(s.decoded for s in summaries)
    readable = sum(s.readable for s in summaries)
    if decoded >= readable:
        return f"Every one of the {images:,} images was read whole and decoded, and compared with all others."
    return (
        f"All {images:,} images were read: header, end, checksum; {decoded:,} were decoded, where something looked "
        "doubtful. Damage in the middle of a file, and pictures that are nearly the same, are found with --decode."
    )


def _survey(datasets: "Sequence[Dataset]", decode: bool | None) -> "list[Survey]":
    from darkroom.inspection.survey import survey  # noqa: PLC0415

    threads = len(os.sched_getaffinity(0))
    with _progress("Looking", sum(map(len, datasets))) as step:
        return [survey(dataset, decode, threads, step) for dataset in datasets]


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], object]]:
    if not err.is_terminal:
        yield lambda done: None
        return
    with Bar(TextColumn(f"[bold]{title}[/]"), BarColumn(), MofNCompleteColumn(), console=err, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)


# The terminal ---------------------------------------------------------------------------------------------------------


def _print_summary(found: "Summary") -> None:
    out.print(f"[bold]{plain(found.title)}[/]  {found.kind}, {found.images:,} images, {found.bytes / 1e6:,.1f} MB")
    table = plain_table("class", "label", "images", "", "share")
    for column in (1, 2, 4):
        table.columns[column].justify = "right"
    most = max((row.images for row in found.classes), default=1)
    for row in _some(found.classes):
        if row is None:
            table.add_row("…", "", "", f"and {len(found.classes) - MOST_ROWS} more", "")
            continue
        bar = "█" * round(BAR * row.images / max(1, most)) or "▏"
        table.add_row(plain(row.name), str(row.label), f"{row.images:,}", f"[blue]{bar}[/]", f"{row.share:.1%}")
    out.print(table)
    if found.width and found.height:
        out.print(f"  width {_words(found.width)}, height {_words(found.height)} pixels (smallest, median, largest)")
        turned = f", {found.turned:,} turned by the camera's mark" if found.turned else ""
        out.print(f"  {found.landscape:,} landscape, {found.portrait:,} portrait, {found.square:,} square{turned}")
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.kinds)
    modes = ", ".join(f"{count:,} {mode}" for mode, count in found.modes)
    out.print(f"  {kinds or 'no image'}; {modes}\n")


def _some(rows: "Sequence[ClassCount]") -> "Iterator[ClassCount | None]":
    """All of them, or the largest and the smallest with None between."""
    if len(rows) <= MOST_ROWS:
        yield from rows
        return
    ordered = sorted(rows, key=lambda row: -row.images)
    yield from ordered[: MOST_ROWS // 2]
    yield None
    yield from ordered[-(MOST_ROWS // 2) :]


def _words(spread: "Spread") -> str:
    return f"{spread.low:,.0f}, {spread.median:,.0f}, {spread.high:,.0f}"


def _print_oddities(oddities: "Sequence[Oddity]") -> None:
    from darkroom.inspection.page import grouped  # noqa: PLC0415

    if not oddities:
        out.print("[green]Nothing odd was found.[/]")
    for kind, found in grouped(oddities).items():
        colour = "red" if found[0].grave else "yellow"
        out.print(f"[{colour}]{kind}[/]  {len(found):,}")
        for it in found[:MOST_NAMED]:
            out.print(f"  {plain(it.said)}")
        if len(found) > MOST_NAMED:
            out.print(f"  … and {len(found) - MOST_NAMED:,} more")


def _json(
    summaries: "Sequence[Summary]", oddities: "Sequence[Oddity]", suggestion: dict[str, str], checked: str
) -> str:
    odd = [{"kind": it.kind, "said": it.said, "grave": it.grave, "images": it.places} for it in oddities]
    record = {"datasets": [asdict(s) for s in summaries], "odd": odd, "suggestion": suggestion, "checked": checked}
    return json.dumps(record, indent=2, ensure_ascii=False)


# The contact sheet ----------------------------------------------------------------------------------------------------


def _write_sheet(
    target: Path,
    datasets: Sequence[Path],
    surveys: "Sequence[Survey]",
    summaries: "Sequence[Summary]",
    oddities: "Sequence[Oddity]",
    suggestion: dict[str, str],
    checked: str,
) -> None:
    from darkroom.inspection.page import Sheet, contact_sheet, places  # noqa: PLC0415

    thumbnails = _thumbnails(surveys, places(surveys, oddities, SEED))
    sheet = Sheet(surveys, summaries, oddities, suggestion, checked, thumbnails)
    text = contact_sheet(" and ".join(dataset.resolve().name for dataset in datasets), sheet)
    try:
        target.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror}; choose another place: --html PATH") from None
    err.print(f"Contact sheet: {target}", markup=False)


def _thumbnails(surveys: "Sequence[Survey]", wanted: "Sequence[Where]") -> "dict[Where, bytes]":
    from darkroom.imaging.decode import BadImage  # noqa: PLC0415 - heavy: cv2
    from darkroom.imaging.thumbnail import thumbnail  # noqa: PLC0415

    def make(place: "Where") -> bytes | None:
        try:
            return thumbnail(surveys[place[0]].dataset.read(place[1]), THUMBNAIL)
        except (BadImage, OSError, ValueError):
            return None

    with _progress("Contact sheet", len(wanted)) as step, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made: dict[Where, bytes] = {}
        for place, picture in zip(wanted, pool.map(make, wanted), strict=True):
            step(1)
            if picture is not None:
                made[place] = picture
    return made
