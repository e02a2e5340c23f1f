"""Lays a piped channel aside before its task starts: hard links to its objects, and a plan of what is sent.

The feeder then needs no store and no server. ``pipes/<channel>`` in the task's folder holds the files, ``plan.jsonl``
with a row for each object (or line of an augmented manifest), and ``pipe.json``. Knows no process.
"""

import hashlib
import json
import os
import random
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom.contract.layout import Layout
from darkroom.executors.base import Input, Source
from darkroom.executors.faults import StagingFailed
from darkroom.executors.sources import lines, objects, url_of
from darkroom.formats.framing import MAX_LENGTH
from darkroom.objects.base import Object, ObjectStore

PIPES, PLAN, PIPE, FILES = "pipes", "plan.jsonl", "pipe.json", "files"
Row = list[dict[str, Any]]  # what is sent, in order: {"file", "name"} of a pinned object, or {"text"}
Place = Callable[[Object, Path, ObjectStore], None]


def pin(
    channel: Input, folder: Path, layout: Layout, store: ObjectStore, place: Place, stopped: Callable[[], bool]
) -> None:
    """Lay the channel aside in ``folder``, new and empty, and make its first pipe. ``place`` gives an object a path.

    Raises StagingFailed, Stopped, DarkroomError and OSError.
    """
    pipe = channel.pipe
    assert pipe is not None, f"channel {channel.channel} is not piped"
    anew = pipe.seed is not None and channel.shard is not None  # a host's part differs from epoch to epoch
    wanted = replace(channel, shard=None) if anew else channel
    (folder / FILES).mkdir(parents=True)
    numbers = array("Q")  # of the manifest's lines
    with open(folder / PLAN, "w") as plan:
        for number, row in _rows(wanted, folder / FILES, store, place, stopped):
            plan.write(json.dumps(row) + "\n")
            numbers.append(number)
    if not numbers:
        raise StagingFailed(
            f'No S3 objects found under S3 URL "{url_of(channel)}" given in input data source of channel '
            f"{channel.channel!r}."
        )
    shard = (channel.shard.index, channel.shard.count) if anew and channel.shard else (0, 1)
    told = {"wrapped": pipe.wrapped, "gzipped": pipe.gzipped, "seed": pipe.seed, "shard": shard}
    (folder / PIPE).write_text(json.dumps(told))
    if channel.source is Source.AUGMENTED:
        sent = [numbers[row] for row in order(len(numbers), 0, pipe.seed, shard)]
        layout.manifest_lines(channel.channel).write_text(json.dumps(sent))
    os.mkfifo(layout.pipe(channel.channel, 0), 0o600)


def order(rows: int, epoch: int, seed: int | None, shard: tuple[int, int]) -> Iterable[int]:
    """Which rows of the plan an epoch sends, in order: all of them, or a permutation of its own; of it, a part."""
    places: range | list[int] = range(rows)
    if seed is not None:
        places = list(places)
        random.Random(f"{seed} {epoch}").shuffle(places)
    return places[shard[0] :: shard[1]]


def _rows(
    channel: Input, files: Path, store: ObjectStore, place: Place, stopped: Callable[[], bool]
) -> Iterator[tuple[int, Row]]:
    """Each with its number, from 1: of an augmented manifest that of its line."""

    def pinned(item: Object) -> dict[str, Any]:
        url = f"s3://{item.bucket}/{item.key}"
        if channel.pipe and channel.pipe.wrapped and item.size > MAX_LENGTH:
            raise StagingFailed(f"object {url} has {item.size} bytes, too many for a record: RecordIO holds 512 MiB")
        name = hashlib.sha256(url.encode()).hexdigest()
        path = files / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        with suppress(FileExistsError):  # named before
            place(item, path, store)
        return {"file": f"{name[:2]}/{name}", "name": url}

    if channel.source is Source.AUGMENTED:
        for number, values in lines(channel, store, stopped):
            yield number, [{"text": value} if isinstance(value, str) else pinned(value) for value in values]
    else:
        for number, (item, _) in enumerate(objects(channel, store, stopped), 1):
            yield number, [pinned(item)]
