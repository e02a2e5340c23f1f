"""``darkroom im2rec`` and ``python -m darkroom.im2rec``: lists and records, a bar for those who watch, a count at the
end. Knows the terminal; what is written is decided by ``listing`` and ``packing``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from darkroom.im2rec.arguments import Arguments, parse
from darkroom.im2rec.listing import make_lists
from darkroom.im2rec.packing import Packed, lists_of, pack

FAILED, INTERRUPTED = 1, 130


class _OnProgress(Protocol):
    def __call__(self, done: int, /) -> None: ...


def main(argv: Sequence[str], program: str = "im2rec") -> int:
    """Exit code: 0 where everything asked for is there, even if some images had to be left out; a .rec without any is
    not."""
    arguments = parse(argv, program)
    try:
        return _list(arguments) if arguments.list else _pack_all(arguments, program)
    except (OSError, ValueError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{program}: interrupted; what was half written is gone", file=sys.stderr)
        return INTERRUPTED


def _list(arguments: Arguments) -> int:
    count = make_lists(arguments, print)
    if not count:
        endings = " ".join(arguments.exts)
        deeper = "" if arguments.recursive else "; --recursive looks into its subfolders"
        print(f"no file in {arguments.root} ends in one of {endings}{deeper}", file=sys.stderr)
    return 0


def _pack_all(arguments: Arguments, program: str) -> int:
    lists = lists_of(arguments.prefix)
    if not lists:
        print(f"{program}: no .lst file begins with {arguments.prefix}; make one first, with --list", file=sys.stderr)
        return FAILED
    done = [_pack(lst, arguments) for lst in lists]
    return 0 if all(packed.count for packed in done) else FAILED


def _pack(lst: Path, arguments: Arguments) -> Packed:
    print(f"Creating .rec file from {lst} in {lst.parent}", flush=True)
    with _bar(lst) if sys.stderr.isatty() else _unwatched() as (say, on_progress):
        packed = pack(lst, arguments, _encoder(arguments), say, on_progress)
    left_out = f", {packed.skipped} left out" if packed.skipped else ""
    rec = lst.with_suffix(".rec").name
    print(f"{packed.count} records in {rec}{left_out}" if packed.count else f"{rec} is not written", flush=True)
    if not packed.count:
        wanted = f"an index, a label and the path of an image below {arguments.root}, with tabs between them"
        print(f"no line of {lst} gave a record{left_out}; a line is {wanted}", file=sys.stderr)
    return packed


def _encoder(arguments: Arguments) -> Callable[[bytes], bytes]:
    if arguments.pass_through:
        return lambda data: data
    from darkroom.im2rec.encoding import encode  # noqa: PLC0415 - cv2 and Pillow are heavy, and lists need neither

    return lambda data: encode(data, arguments)


_Watched = tuple[Callable[[str], None], _OnProgress]  # hear a sentence; hear how many lines are done


@contextmanager
def _unwatched() -> Iterator[_Watched]:
    yield lambda text: print(text, file=sys.stderr, flush=True), lambda done: None


@contextmanager
def _bar(lst: Path) -> Iterator[_Watched]:
    from rich.console import Console  # noqa: PLC0415 - a bar takes as long to import as hundreds of photos to pack
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with open(lst, "rb") as file:
        total = sum(1 for _ in file)
    title = TextColumn("{task.description}", style="bold", markup=False)
    columns = title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(lst.name, total=total)
        yield lambda text: console.print(text, markup=False), lambda done: bar.update(task, completed=done)
