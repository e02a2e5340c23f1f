"""Writes the .lst files of a folder of images, line for line those of MXNet's im2rec: same order, same shuffle.

Looks at names only; whether a file is an image shows when it is packed.
"""

import os
import random
import re
import stat
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

from darkroom.formats.lst import LstLine, fits, write_lst
from darkroom.im2rec.arguments import Arguments

SEED = 100  # MXNet's: two lists of one folder are the same list
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # what a terminal would obey, or cannot be printed
Say = Callable[[str], None]
Identity = tuple[int, int]  # device and inode


def make_lists(arguments: Arguments, say: Say) -> int:
    """Write the lists; returns how many images they hold. ``say`` hears each folder's label, and what was left out.

    Raises NotADirectoryError where there is no root, and OSError where a folder below it cannot be read; then no list
    is written.
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
    """A folder's label is its place among the folders that hold images themselves; without --recursive it is 0.

    An image that is left out counts for it: the labels of other folders must not depend on a name.
    """
    labels = dict[str, int]()
    index = 0
    for folder, names in _folders(arguments.root, arguments.recursive, say):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1].lower() not in arguments.exts or not _is_file(path):
                continue
            label = labels.setdefault(folder, len(labels))
            relative = os.path.relpath(path, arguments.root)
            if not fits(relative):
                say(f"left out: a .lst cannot hold the name {relative!r}; rename the file")
                continue
            yield LstLine(index, (label,), relative)
            index += 1
    if arguments.recursive:
        for folder, label in labels.items():
            shown = UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", os.path.relpath(folder, arguments.root))
            say(f"{shown} {label}")


def _folders(root: str, recursive: bool, say: Say) -> Iterator[tuple[str, list[str]]]:
    """Folders from the root on in the order of their names, with the sorted names in each. Links are followed."""
    if not recursive:
        yield root, sorted(os.listdir(root))
        return
    above = {root: frozenset(map(_identity, Path(os.path.realpath(root)).parents))}  # of folders not yet entered
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        trail = above.pop(folder) | {_identity(folder)}
        folders[:] = [name for name in sorted(folders) if not _leads_back(os.path.join(folder, name), trail, say)]
        above.update((os.path.join(folder, name), trail) for name in folders)
        yield folder, sorted(names)


def _leads_back(folder: str, trail: Set[Identity], say: Say) -> bool:
    """Whether a link leads to a folder that it was reached through: followed, it would never end."""
    if not os.path.islink(folder) or _identity(folder) not in trail:
        return False
    say(f"left out: the link {folder} leads back to {os.path.realpath(folder)}")
    return True


def _identity(folder: str | os.PathLike[str]) -> Identity:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError as error:
        _refuse(error)
    except OSError:
        pass
    return False  # such as a link that leads nowhere


def _refuse(error: OSError) -> None:
    """Passed over, it would take its label along, and every later folder would have the one before."""
    if os.path.basename(error.filename) != "lost+found":  # a file system's own, closed to all but root
        raise OSError(f"{error.filename} cannot be read ({error.strerror}); make it readable, or move it elsewhere")
