"""What the classes are called: said by the job, by a file beside the images, or by the folders that images lie in.

Names only ride along in the model; training never depends on them.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.algorithm.data.samples import FolderSamples, ListedSamples, Samples
from darkroom.algorithm.failures import CustomerError

VARIABLE = "DARKROOM_CLASSES"  # a JSON list, in the job's Environment
FILES = ("classes.txt", "labels.txt")  # one name a line, in the order of the labels


def find(
    environ: Mapping[str, str], folders: Sequence[Path], train: Samples, num_classes: int
) -> tuple[tuple[str, ...] | None, str]:
    """Names by class id, or None; and what is wrong with those that were found. Raises CustomerError for no list."""
    given, source = _given(environ, folders)
    if isinstance(train, FolderSamples):
        return _of_class_folders(train.classes, given, source)
    if given is not None:
        return _fitting(given, source, num_classes)
    if isinstance(train, ListedSamples):
        return _from_folders(train, num_classes), ""
    return None, ""


def _given(environ: Mapping[str, str], folders: Sequence[Path]) -> tuple[tuple[str, ...] | None, str]:
    """Names as somebody wrote them down, and where."""
    if VARIABLE in environ:
        return _from_json(environ[VARIABLE]), VARIABLE
    for path in (folder / name for folder in folders for name in FILES):
        if path.is_file():
            lines = path.read_text("utf-8", "replace").splitlines()
            return tuple(line.strip() for line in lines if line.strip()), path.name
    return None, ""


def _of_class_folders(
    classes: tuple[str, ...], given: tuple[str, ...] | None, source: str
) -> tuple[tuple[str, ...], str]:
    """The folders' own names, or better ones; a list of the same names in another order would name them wrongly."""
    if given is None or given == classes:
        return classes, ""
    if len(given) != len(classes):
        return classes, f"{source} has {len(given)} names for {len(classes)} class folders: the folders' names are used"
    if set(given) == set(classes):
        return classes, f"{source} has another order than the class folders, which are sorted by name: theirs is used"
    return given, ""


def _from_json(text: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except ValueError as error:
        raise CustomerError(f'{VARIABLE} must be a JSON list of names, such as ["cat", "dog"]: {error}') from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CustomerError(f'{VARIABLE} must be a JSON list of names, such as ["cat", "dog"]; it is {text[:80]}')
    return tuple(names)


def _fitting(names: tuple[str, ...], source: str, num_classes: int) -> tuple[tuple[str, ...] | None, str]:
    if len(names) == num_classes:
        return names, ""
    return None, f"{source} has {len(names)} names for num_classes {num_classes}: the names are not used"


def _from_folders(train: ListedSamples, num_classes: int) -> tuple[str, ...] | None:
    """The first folder of the paths of each label, where label and folder stand for each other one to one."""
    folders = defaultdict(set)
    for path, label in zip(train.paths, train.labels, strict=True):
        if len(label) != 1 or "/" not in path:
            return None
        folders[int(label[0])].add(path.split("/")[0])
    names = [min(folders[label]) for label in sorted(folders) if len(folders[label]) == 1]
    complete = sorted(folders) == list(range(num_classes)) and len(set(names)) == num_classes
    return tuple(names) if complete else None
