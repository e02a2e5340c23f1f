"""Packs the images of a .lst into a .rec and its .idx: threads read and encode, one writer keeps the list's order.

What cannot be packed is reported and left out; memory holds a few images a thread, however long the list.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from darkroom.formats.framing import MAX_LENGTH
from darkroom.formats.lst import LstLine
from darkroom.formats.writing import RecordWriter, image_record
from darkroom.im2rec.arguments import Arguments

IMAGES_A_TASK = 16  # enough that handing tasks over costs nothing, few enough that memory stays small


@dataclass(frozen=True)
class Packed:
    """What one .lst came to. ``skipped`` counts lines that gave no record."""

    count: int
    skipped: int


def lists_of(prefix: str) -> list[Path]:
    """The .lst files that PREFIX names: all whose path starts with it; with a folder, those inside."""
    folder = prefix if os.path.isdir(prefix) else os.path.dirname(prefix)
    if not os.path.isdir(folder):
        return []
    paths = (os.path.join(folder, name) for name in sorted(os.listdir(folder)))
    return [Path(path) for path in paths if path.startswith(prefix) and path.endswith(".lst") and os.path.isfile(path)]


def pack(
    lst: Path,
    arguments: Arguments,
    encode: Callable[[bytes], bytes],
    say: Callable[[str], None],
    on_progress: Callable[[int], None],
) -> Packed:
    """Write the .rec and .idx beside ``lst``, or leave them as they were where no line gives a record.

    ``encode`` turns a file's bytes into those packed, or raises ValueError.

    ``say`` hears a sentence for every line left out, ``on_progress`` how many lines are done. Raises OSError where the
    files cannot be written; then none is left.
    """
    done = skipped = 0

    def left_out(said: str) -> None:
        nonlocal skipped
        skipped += 1
        say(f"left out: {said}")

    def records(lines: list[LstLine]) -> list[bytes | str]:
        return [_record(line, arguments, encode) for line in lines]

    with (
        open(lst, encoding="utf-8-sig", errors="surrogateescape") as file,
        RecordWriter(lst.with_suffix(".rec")) as writer,
    ):
        lines_read = read_lines(file, left_out)
        tasks = iter(lambda: list(islice(lines_read, IMAGES_A_TASK)), [])
        with ThreadPoolExecutor(arguments.num_thread, thread_name_prefix="im2rec") as pool:
            for lines, packed in _in_order(pool, records, tasks, 2 * arguments.num_thread):
                for line, record in zip(lines, packed, strict=True):
                    if isinstance(record, str):
                        left_out(f"{line.path} (line {line.number} of {lst.name}): {record}")
                    else:
                        writer.write(record, line.index)
                done += len(lines)
                on_progress(done)
        if not writer.count:
            writer.abandon()
    return Packed(writer.count, skipped)


def read_lines(lines: Iterable[str], left_out: Callable[[str], None]) -> Iterator[LstLine]:
    """Lines one at a time, as MXNet's im2rec reads them: what is no line is reported and passed over."""
    for number, line in enumerate(lines, 1):
        fields = [field.strip() for field in line.strip().split("\t")]
        if fields == [""]:
            continue
        try:
            if len(fields) < 3:
                raise ValueError(f"it has {len(fields)} of index, label and path, separated by tabs")
            yield LstLine(int(fields[0]), tuple(map(float, fields[1:-1])), fields[-1], number)
        except ValueError as error:
            left_out(f"line {number}: {error}")


def _record(line: LstLine, arguments: Arguments, encode: Callable[[bytes], bytes]) -> bytes | str:
    """The payload of a record, or why there is none."""
    labels = line.labels if arguments.pack_label else line.labels[:1]
    try:
        # unbuffered: of a whole file in one go a buffer only costs calls
        with open(os.path.join(arguments.root, line.path), "rb", buffering=0) as file:
            if (size := os.fstat(file.fileno()).st_size) > MAX_LENGTH:
                return f"a file of {size} bytes is too long: RecordIO holds less than 512 MiB each"
            return image_record(labels, line.index, 0, encode(file.readall()))
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)


Task = list[LstLine]
Records = list[bytes | str]


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Task], Records], tasks: Iterator[Task], ahead: int
) -> Iterator[tuple[Task, Records]]:
    """Each task with its records, in order, never more than ``ahead`` in memory."""
    pending = deque[tuple[Task, Future[Records]]]()
    for task in tasks:
        pending.append((task, pool.submit(work, task)))
        if len(pending) >= ahead:
            first, future = pending.popleft()
            yield first, future.result()
    while pending:
        first, future = pending.popleft()
        yield first, future.result()
