"""Photos on their way to the object store: packed into RecordIO files, then uploaded, both with progress."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from darkroom.cli.connection import Connection
from darkroom.cli.console import Failure, err, plain
from darkroom.formats import folders
from darkroom.formats.lst import UNFIT, LstLine, write_lst

UPLOADED = (".rec", ".lst", ".txt")


def pack_all(
    channels: Mapping[str, Sequence[folders.Sample]], files: Mapping[str, Path], shorter_side: int
) -> dict[str, int]:
    """Photos in each file. Raises Failure where nothing could be read of a channel."""
    from darkroom.imaging.shrink import shrink  # noqa: PLC0415 - heavy: cv2

    def read(path: Path) -> bytes:
        return shrink(path.read_bytes(), shorter_side)

    counts, threads = {}, len(os.sched_getaffinity(0))
    total = sum(len(samples) for samples in channels.values())
    with _steps("Packing", total, MofNCompleteColumn()) as step:
        for name, samples in channels.items():
            files[name].parent.mkdir()
            packed = folders.pack(samples, files[name], lambda _: step(1), read=read, threads=threads)
            for path, reason in packed.skipped:
                err.print(f"[yellow]left out[/] {plain(path)}: {plain(reason)}")
            if not packed.count:
                raise Failure(f"no photo for {name} could be read; the reasons stand above")
            counts[name] = packed.count
    return counts


def list_all(channels: Mapping[str, Sequence[folders.Sample]], files: Mapping[str, Path], folder: Path) -> None:
    """Beside each .rec the .lst that im2rec would make it from: by it the report calls photos what they are called."""
    for name, samples in channels.items():
        paths = (os.path.relpath(sample.path, folder) for sample in samples)
        lines = (
            LstLine(number, (sample.label,), UNFIT.sub("\N{REPLACEMENT CHARACTER}", path).strip())
            for number, (sample, path) in enumerate(zip(samples, paths, strict=True))
        )
        write_lst(files[name].with_suffix(".lst"), lines)


def upload_all(connection: Connection, recs: Iterable[Path], bucket: str, prefix: str) -> None:
    files = [path for rec in recs for path in sorted(rec.parent.iterdir()) if path.suffix in UPLOADED]
    with _steps("Uploading", sum(path.stat().st_size for path in files), DownloadColumn()) as step:
        for path in files:
            connection.s3.upload_file(str(path), bucket, f"{prefix}/{path.parent.name}/{path.name}", Callback=step)


@contextmanager
def _steps(title: str, total: int, column: Any) -> Iterator[Callable[[int], None]]:
    """A bar that counts what is done; one plain line where there is no terminal."""
    if not err.is_terminal:
        err.print(title)
        yield lambda count: None
        return
    with Bar(TextColumn(f"[bold]{title}[/]"), BarColumn(bar_width=28), column, console=err, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)
