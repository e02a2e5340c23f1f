"""Channels of class folders: one folder a class, named after it, with the images of the class in it. No .lst needed.

The train channel's folders, in the order of their names, are the classes; a validation channel is read by the same
names. Decodes nothing.
"""

import difflib
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from darkroom.algorithm.class_names import FILES
from darkroom.algorithm.data.samples import FolderSamples
from darkroom.algorithm.failures import CustomerError
from darkroom.formats import folders

REMEDY = "Put the images of each class into a folder named after the class"
MOST_SHOWN = 10  # names in one sentence


def is_image(path: Path) -> bool:
    """By its name: the bytes are looked at when it is decoded."""
    return path.name.lower().endswith(folders.SUFFIXES)


def open_folders(root: Path, channel: str, classes: tuple[str, ...] | None, log: logging.Logger) -> FolderSamples:
    """The images of a channel. ``classes`` are those of the train channel; None: this is it. Raises CustomerError."""
    log.info("Searching for class folders in %s.", root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    _refuse_loose(root, channel, files)
    try:
        found = folders.scan(root)
    except folders.ClosedFolderError as error:
        raise CustomerError(f"A class folder of the {channel} channel is closed: {error}.") from None
    except folders.FolderError:
        raise CustomerError(
            f"The {channel} channel has no class folder with images in it; it holds {contents(files)}. {REMEDY}."
        ) from None
    log.info("Found %d images in %d class folders: %s", len(found.samples), len(found.classes), shown(found.classes))
    _warn_of_others(channel, files, log)
    if classes is None:
        return FolderSamples(found.samples, found.classes, root)
    labels = _labels(found.classes, classes, channel)
    return FolderSamples([replace(s, label=labels[s.label]) for s in found.samples], classes, root)


def contents(files: Iterable[Path]) -> str:
    """``3 .jpg, 1 .txt`` or ``no file``."""
    kinds = Counter(path.suffix or path.name for path in files)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5)) or "no file"


def shown(names: Iterable[str]) -> str:
    """``cat, dog``; the first ten where there are more."""
    names = list(names)
    return ", ".join(names[:MOST_SHOWN]) + (", …" if len(names) > MOST_SHOWN else "")


def _refuse_loose(root: Path, channel: str, files: Iterable[Path]) -> None:
    loose = [path.name for path in files if path.parent == root and is_image(path) and not path.name.startswith(".")]
    if loose:
        raise CustomerError(
            f"{len(loose)} image(s) of the {channel} channel lie in no class folder: {shown(loose[:3])}. {REMEDY}, or "
            f"add the channel {channel}_lst with a .lst file that lists the images."
        )


def _warn_of_others(channel: str, files: Iterable[Path], log: logging.Logger) -> None:
    others = [path for path in files if not is_image(path) and path.name not in FILES and path.name[0] != "."]
    if others:
        log.warning(
            "Files of the %s channel that are no images by their names are left out: %s", channel, contents(others)
        )


def _labels(names: tuple[str, ...], classes: tuple[str, ...], channel: str) -> list[int]:
    """The label of each folder of a channel, by the names of the train channel's. Raises CustomerError."""
    known = {name: label for label, name in enumerate(classes)}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, classes, 1, 0.7)
            remedy = f"Is it {close[0]!r}? Rename it" if close else "Take it out"
            raise CustomerError(
                f"The {channel} channel has the class folder {name!r}, which the train channel does not have "
                f"({shown(classes)}). {remedy}, or add images of it to the train channel."
            )
    return [known[name] for name in names]
