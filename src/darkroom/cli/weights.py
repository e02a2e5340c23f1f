"""``weights list``, ``pull``, ``add``: pretrained weights for transfer learning, in the folder that jobs read.

Files are looked over in a process of their own; what jobs get is safetensors or MXNet's arrays, never a pickle.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from darkroom.cli import fetching, server
from darkroom.cli.console import Failure, err, out, plain, reason_of, unknown
from darkroom.cli.jobs import plain_table
from darkroom.executors.daemon import answer_of
from darkroom.networks import weights_folder
from darkroom.networks.registry import TABLE
from darkroom.networks.weights_folder import Held, Record

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
PATIENCE_S = 300.0


class Refused(Failure):
    """The file holds nothing that could be taken; nothing is wrong with the folder."""


app = typer.Typer(no_args_is_help=True, help="Pretrained weights: what there is, and how to get it.")


@app.command("list")
def list_weights(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Show the weights that are here, and those that can be pulled."""
    folder = _folder()
    here = {held.name: held for held in weights_folder.held(folder)}
    if as_json:
        print(json.dumps({"folder": str(folder), "weights": [_described(name, here) for name in {**TABLE, **here}]}))
        return
    table = plain_table("name", "network", "here", "licence", "from")
    for name in {**here, **TABLE}:
        table.add_row(*map(plain, _row(name, here)))
    out.print(table)
    out.print(f"Folder: {folder}", markup=False, style="dim")
    if not here:
        out.print("Nothing is here yet; fetch one with: darkroom weights pull NAME", style="dim")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name of the list.", metavar="NAME")],
    mirror: Annotated[
        str | None, typer.Option("--from", help="Another place that has the same file.", metavar="URL")
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Take a file that nobody published a checksum of.")
    ] = False,
) -> None:
    """Fetch published weights, check them, and put them where jobs find them. Goes on where it was interrupted."""
    entry = TABLE.get(name)
    if entry is None:
        raise unknown("weights", name, TABLE)
    if not entry.sha256 and not unchecked:
        raise Failure(f"nobody published a checksum of {entry.url}; take it nevertheless with --unchecked", 2)
    url = mirror or entry.url
    if not url.startswith(("http://", "https://")):
        raise Failure(f"--from {url} is no http address; to bring in a file: darkroom weights add FILE", 2)
    folder = _made(_folder())
    part = folder / f".{name}.part"
    with _progress(name) as progress:
        fetching.fetch(url, part, entry.sha256, progress)
    known = Record(entry.network, entry.num_layers, source=entry.url, licence=entry.licence, expects=entry.expects)
    try:
        _bring_in(part, name, known, url)
    except Refused:
        part.unlink()  # gone on from, it would be refused for ever
        raise
    part.unlink()
    _say_how_to_use(name)


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(help="safetensors, a PyTorch state dict, or MXNet's .params.", metavar="FILE")
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; by default as the file.")] = None,
    mean: Annotated[
        str | None, typer.Option(help="What the weights expect of RGB in 0..1, if not ImageNet's.", metavar="R,G,B")
    ] = None,
    std: Annotated[str | None, typer.Option(help="The deviation, likewise.", metavar="R,G,B")] = None,
    licence: Annotated[str, typer.Option(help="Noted beside the file.")] = "",
) -> None:
    """Bring in weights of your own. The file's network is found out; nothing in it is executed."""
    if not file.is_file():
        raise Failure(f"there is no file {file}", 2)
    called = name or file.name.removesuffix(file.suffix)
    if not NAME.fullmatch(called):
        raise Failure(f"{called!r} cannot name weights; choose letters, digits, '.', '-' and '_' with --name", 2)
    means, deviations = _numbers("--mean", mean, least=0.0), _numbers("--std", std, least=1e-3)
    _made(_folder())
    _bring_in(file, called, Record(source=file.name, licence=licence, mean=means, std=deviations), str(file))
    _say_how_to_use(called)


def _described(name: str, here: dict[str, Held]) -> dict[str, Any]:
    if name in here:
        path, record = here[name].path, here[name].record
        return {"name": name, "bytes": path.stat().st_size, "here": True} | asdict(record)
    entry = TABLE[name]
    return {"name": name, "bytes": 0, "here": False} | {
        "network": entry.network,
        "num_layers": entry.num_layers,
        "source": entry.url,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "expects": entry.expects,
    }


def _row(name: str, here: dict[str, Held]) -> tuple[str, ...]:
    row = _described(name, here)
    size = f"{row['bytes'] / 2**20:.1f} MiB" if row["here"] else ""
    source = urllib.parse.urlsplit(row["source"]).hostname or row["source"]
    return name, _network(row), size, row["licence"], source


def _network(row: Mapping[str, Any]) -> str:
    return (row["network"] or "not looked over") + (f" {row['num_layers']}" if row["num_layers"] else "")


def _bring_in(source: Path, name: str, known: Record, said: str) -> None:
    """Look ``source``, which the user knows as ``said``, over, then put it and its record into the folder. Raises
    Failure: Refused where the file is of another network than what is ``known``, or of none."""
    folder, size = _folder(), source.stat().st_size
    try:
        if (free := shutil.disk_usage(folder).free) < size:
            raise Failure(f"{folder} has room for {free} bytes; {said} has {size}")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as scratch:
            command = [sys.executable, "-m", "darkroom.networks.bringing_in", str(source.resolve()), scratch]
            answer = _answer(answer_of(command, PATIENCE_S), source, said)
            _put(Path(answer["file"]), name, _completed(known, Record(**answer["record"]), said), folder)
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {reason_of(error)}") from error


def _completed(known: Record, found: Record, said: str) -> Record:
    if known.network and (known.network, known.num_layers) != (found.network, found.num_layers):
        raise Refused(f"{said} holds weights of {_network(asdict(found))}, not of {_network(asdict(known))}")
    return replace(
        known,
        network=found.network,
        num_layers=found.num_layers,
        num_classes=found.num_classes,
        missing=found.missing,
        sha256=found.sha256,
    )


def _put(arrived: Path, name: str, record: Record, folder: Path) -> None:
    for suffix in weights_folder.SUFFIXES:  # another form of the same name would come first or last by chance
        if suffix != arrived.suffix:
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    weights_folder.write_record(folder / f"{name}.json", record)
    os.replace(arrived, folder / f"{name}{arrived.suffix}")


def _answer(printed: str | None, source: Path, said: str) -> dict[str, Any]:
    try:
        answer = json.loads(printed or "")
    except ValueError:
        raise Refused(f"{said} could not be looked over: it ended the process that tried") from None
    if "error" in answer:
        raise Refused(_renamed(str(answer["error"]), source, said))
    return dict(answer)


def _renamed(reason: str, source: Path, said: str) -> str:
    """The sentence, beginning with ``said`` where it begins with another name of the file, or with none."""
    for start in (str(source.resolve()), source.name):
        if reason.startswith(start):
            return said + reason.removeprefix(start)
    return f"{said}: {reason}"


def _say_how_to_use(name: str) -> None:
    held = next(held for held in weights_folder.held(_folder()) if held.name == name)
    record = held.record
    depth = f", num_layers={record.num_layers}" if record.num_layers else ""
    out.print(f"[bold green]{name}[/] is here: network={record.network}{depth}, {record.num_classes} classes")
    if record.missing:
        err.print(f"It lacks {record.missing} tensors, which start from random numbers")
    out.print("Use it in a job with the hyperparameter use_pretrained_model=1", style="dim")


def _folder() -> Path:
    return server.loaded().weights_folder


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the folder of weights, {folder}, cannot be made: {reason_of(error)}") from error
    return folder


def _numbers(option: str, text: str | None, least: float) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(least <= value <= 1.0 for value in values):
        raise Failure(f"{option} {text!r} is not three numbers between {least:g} and 1, such as 0.485,0.456,0.406", 2)
    return values


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
