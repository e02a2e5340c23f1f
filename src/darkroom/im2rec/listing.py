"""Writes the .lst files of a folder of images, line for line those of MXNet's im2rec: same order, same shuffle.

Looks at names only; whether a file is an image shows when it is packed.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence

from darkroom.formats.lst import LstLine, write_lst
from darkroom.im2rec.arguments import Arguments

SEED = 100  # MXNet's: two lists of one folder are the same list
Say = Callable[[str], None]


def make_lists(arguments: Arguments, say: Say) -> int:
    """Write the lists; returns how many images they hold. ``say`` hears each folder's label, and what was left out.

    Raises NotADirectoryError where there is no root.
    """
    if not os.path.isdir(arguments.root):
        raise NotADirectoryError(f"there is no folder {arguments.root}")
    lines = list(_labelled(arguments, say))
    if arguments.shuffle:
        random.Random(SEED).shuffle(lines)
    size = -(-len(lines) // arguments.chunks)
    for number in range(arguments.chunks):
        prefix = arguments.prefix + (f"_{number}" if arguments.chunks > 1 else "")
        chunk = lines[number * size : (number + 1) * size]
        for ending, part in _parts(chunk, size, arguments.train_ratio, arguments.test_ratio):
            write_lst(f"{prefix}{ending}.lst", part)
    return len(lines)


def _parts(chunk: Sequence[LstLine], size: int, train: float, test: float) -> Iterator[tuple[str, Sequence[LstLine]]]:
    """(ending of the name, lines): the test part comes first, then training, validation is the rest."""
    if train == 1.0:
        yield "", chunk
        return
    tested, trained = int(size * test), int(size * train)
    if test:
        yield "_test", chunk[:tested]
    if train + test < 1.0:
        yield "_val", chunk[tested + trained :]
    yield "_train", chunk[tested : tested + trained]


def _labelled(arguments: Arguments, say: Say) -> Iterator[LstLine]:
    """A folder's label is its place among the folders that hold images themselves; without --recursive it is 0."""
    labels = dict[str, int]()
    index = 0
    for folder, names in _folders(arguments.root, arguments.recursive, say):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1].lower() not in arguments.exts or not os.path.isfile(path):
                continue
            relative = os.path.relpath(path, arguments.root)
            if not _fits_a_line(relative):
                say(f"left out: a .lst cannot hold the name {relative!r}; rename the file")
                continue
            yield LstLine(index, (labels.setdefault(folder, len(labels)),), relative)
            index += 1
    if arguments.recursive:
        for folder, label in labels.items():
            say(f"{os.path.relpath(folder, arguments.root)} {label}")


def _folders(root: str, recursive: bool, say: Say) -> Iterator[tuple[str, list[str]]]:
    """Folders from the root on in the order of their names, with the sorted names in each. Links are followed."""
    if not recursive:
        yield root, sorted(os.listdir(root))
        return
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not _leads_back(os.path.join(folder, name), say)]
        yield folder, sorted(names)


def _leads_back(folder: str, say: Say) -> bool:
    """Whether a link leads to a folder that it lies in itself: followed, it would never end."""
    if not os.path.islink(folder):
        return False
    target = os.path.realpath(folder)
    back = (os.path.realpath(os.path.dirname(folder)) + os.sep).startswith(target.rstrip(os.sep) + os.sep)
    if back:
        say(f"left out: the link {folder} leads back to {target}")
    return back


def _fits_a_line(path: str) -> bool:
    return path == path.strip() and path.isprintable() and not any(0xDC80 <= ord(letter) <= 0xDCFF for letter in path)
