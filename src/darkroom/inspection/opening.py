"""From a path to the datasets it stands for: class folders, splits of them, a .lst, one or several .rec files.

Sees class folders as training does, and says of what it leaves out why.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.formats.folders import LOST_AND_FOUND, SUFFIXES
from darkroom.formats.lst import LstError, read_lst
from darkroom.inspection.datasets import (
    CLASS_FOLDERS,
    UNREADABLE,
    Dataset,
    DatasetError,
    Files,
    Remark,
    class_names,
    label_rows,
    printable,
)
from darkroom.inspection.recorded import open_records

SPLITS = ("train", "training", "valid", "validation", "val", "test", "testing")
MOST_NAMED = 3
WHAT = (
    "name a folder that holds a folder of photos for each class, a .rec file (or the beginning of the names of several"
    "), or a .lst file"
)


def open_all(path: Path, images: Path | None = None) -> list[Dataset]:
    """The datasets that a path stands for: usually one; a folder of splits has several. ``images``: where those of a
    .lst lie, by default beside it. Raises DatasetError."""
    if path.is_dir():
        return _of_folder(path)
    if path.suffix == ".lst" and path.is_file():
        return [_of_list(path, images or path.parent)]
    if path.is_file():
        if path.suffix != ".rec":
            raise DatasetError(f"{path} is no dataset; {WHAT}")
        return [open_records([path], titled(path))]
    if path.parts[:1] == ("s3:",):
        raise DatasetError(_elsewhere("s3://" + "/".join(path.parts[1:])))
    parts = sorted(path.parent.glob(f"{_literal(path.name)}*.rec")) if path.name else []
    if not parts:
        raise DatasetError(f"there is no {path}; {WHAT}")
    return [open_records(parts, f"{titled(path)}*.rec")]


def titled(path: Path) -> str:
    """The last two parts: enough to tell datasets apart, and short."""
    return printable(os.sep.join(path.absolute().parts[1:][-2:]) or str(path))


def _elsewhere(uri: str) -> str:
    what = "inspect looks at folders and files of this machine; fetch it first:"
    return f"{uri} lies on S3: {what} aws s3 sync {uri} FOLDER, or of a single file: aws s3 cp {uri} ."


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _of_folder(root: Path) -> list[Dataset]:
    inside = [entry for entry in _visible(root) if entry.is_dir()]
    if inside and all(entry.name.lower() in SPLITS for entry in inside):
        order = sorted(inside, key=lambda entry: SPLITS.index(entry.name.lower()))
        return [dataset for entry in order for dataset in _of_split(Path(entry.path))]
    return _of_split(root)


def _of_split(root: Path) -> list[Dataset]:
    folders = _class_folders(root)
    if folders.paths:
        return [folders]
    records = sorted(path for path in root.rglob("*.rec") if path.is_file())
    if not records:
        if closed := [remark.said for remark in folders.remarks if remark.kind == UNREADABLE]:
            raise DatasetError(f"{root}: {closed[0]}")
        loose = sum(entry.name.lower().endswith(SUFFIXES) for entry in _visible(root))
        if loose:
            remedy = "put the photos of each class into a folder named after the class, or name a .lst that lists them"
            raise DatasetError(f"{root} holds {loose} photos and no class folders; {remedy}")
        raise DatasetError(f"{root} holds neither class folders with photos nor .rec files; {WHAT}")
    return [open_records(records, titled(root))]


# Class folders --------------------------------------------------------------------------------------------------------


def _class_folders(root: Path) -> Files:
    """Class k is the k-th folder with photos in it, in byte order of the names, as training numbers them."""
    walk = _Walk(root)
    paths, labels, names = list[str](), list[list[float]](), list[str]()
    for entry in sorted((e for e in _visible(root) if e.is_dir()), key=lambda e: os.fsencode(e.name)):
        if entry.is_symlink():
            walk.linked(entry.path)
        remarked = len(walk.remarks)
        photos = list(walk.photos(entry.path))
        closed = any(remark.kind == UNREADABLE for remark in walk.remarks[remarked:])
        if not photos and not closed:  # a closed one is a class all the same
            walk.remarks.append(Remark("empty classes", f"the folder {printable(entry.name)} holds no photo"))
            continue
        labels += [[float(len(names))]] * len(photos)
        names.append(entry.name)
        paths += photos
    walk.loose([entry.name for entry in _visible(root) if not entry.is_dir()])
    return Files(titled(root), CLASS_FOLDERS, root, paths, label_rows(labels), names, walk.said())


class _Walk:
    """One walk below ``root``: its photos, and what it met beside them."""

    def __init__(self, root: Path) -> None:
        self.root, self.remarks = root, list[Remark]()
        self._inside = os.path.realpath(root) + os.sep
        self._others, self._outside, self._first_outside = Counter[str](), 0, ""

    def photos(self, folder: str) -> Iterator[str]:
        """Paths relative to the root, hidden ones left out; links to folders are not entered below the class folder."""
        for path, folders, names in os.walk(folder, onerror=self.unreadable):
            folders[:] = sorted(filter(_shown, folders), key=os.fsencode)
            for name in folders:
                if os.path.islink(os.path.join(path, name)):
                    linked = printable(os.path.relpath(os.path.join(path, name), self.root))
                    self.remarks.append(Remark("links", f"{linked} is a link to a folder; it is not entered"))
            for name in sorted(filter(_shown, names), key=os.fsencode):
                whole = os.path.join(path, name)
                if not name.lower().endswith(SUFFIXES):
                    self._others[os.path.splitext(name)[1] or name] += 1
                    continue
                if os.path.islink(whole):
                    self.linked(whole)
                yield os.path.relpath(whole, self.root)

    def unreadable(self, error: OSError) -> None:
        folder = printable(os.path.relpath(error.filename, self.root))
        remedy = "training refuses it; make it readable, or move it elsewhere"
        self.remarks.append(Remark(UNREADABLE, f"the folder {folder} cannot be read ({error.strerror}): {remedy}"))

    def linked(self, path: str) -> None:
        if not (os.path.realpath(path) + os.sep).startswith(self._inside):
            self._outside += 1
            self._first_outside = self._first_outside or f"{printable(path)} → {printable(os.path.realpath(path))}"

    def loose(self, names: Sequence[str]) -> None:
        photos = [name for name in names if name.lower().endswith(SUFFIXES)]
        if photos:
            shown = ", ".join(map(printable, sorted(photos)[:MOST_NAMED]))
            self.remarks.append(Remark("photos in no class", f"{len(photos)} lie right in the folder: {shown}"))

    def said(self) -> list[Remark]:
        remarks = list(self.remarks)
        if self._outside:
            such = f"{self._outside}, such as {self._first_outside}"
            remarks.append(Remark("links", f"leading out of the folder, and followed as in training: {such}"))
        if self._others:
            kinds = ", ".join(f"{count} {printable(kind)}" for kind, count in self._others.most_common(5))
            remarks.append(Remark("files that are no photos by their names", f"{kinds}; training leaves them out"))
        return remarks


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _shown(entry.name)]
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}") from None


def _shown(name: str) -> bool:
    return not name.startswith((".", "__MACOSX")) and name != LOST_AND_FOUND


# A .lst ---------------------------------------------------------------------------------------------------------------


def _of_list(path: Path, root: Path) -> Files:
    try:
        lines = read_lst(path)
    except LstError as error:
        raise DatasetError(str(error)) from None
    remarks = [Remark("the list", warning.replace(f"{path}, ", "")) for warning in lines.warnings]
    kept = []
    for line in lines:
        if line.path.startswith("/") or os.path.normpath(line.path).split(os.sep)[0] == os.pardir:
            remarks.append(Remark("the list", f"line {line.number}: {printable(line.path)} leads out of {root}"))
        else:
            kept.append(line)
    if not kept:
        raise DatasetError(f"{path} names no image below {root}; --images FOLDER says where they lie")
    labels = label_rows([line.labels for line in kept])
    names = class_names(path.parent) or class_names(root)
    return Files(titled(path), "images that a .lst names", root, [line.path for line in kept], labels, names, remarks)
