"""``.lst`` files: one ``index<TAB>label(s)<TAB>path`` line an image, as im2rec reads and writes them.

Knows the lines only: whether a path exists, or a label is a valid class, is for whoever reads the images.
"""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

UNFIT = re.compile("[\t\r\n\ud800-\udfff]")  # where readers cut, and what stands in names that are not UTF-8
_MAX_INDEX = (1 << 64) - 1  # it becomes the id of the image record


class LstError(ValueError):
    """The file is not a .lst. ``line`` and ``column`` count from 1; ``column`` counts tab-separated fields."""

    def __init__(self, file: str, line: int, column: int, reason: str) -> None:
        super().__init__(f"{file}, line {line}, column {column}: {reason}")
        self.file, self.line, self.column, self.reason = file, line, column, reason


@dataclass(frozen=True)
class LstLine:
    index: int
    labels: tuple[float, ...]
    path: str
    number: int = field(default=0, compare=False)  # where it was read, from 1; the last column is the path's


class LstLines(list[LstLine]):
    """The lines of one file, with ``warnings``: what was odd in it, in sentences, and was read all the same."""

    def __init__(self, lines: Iterable[LstLine] = (), warnings: Iterable[str] = ()) -> None:
        super().__init__(lines)
        self.warnings = tuple(warnings)


def read_lst(path: str | os.PathLike[str]) -> LstLines:
    """Lines of the file. Raises LstError (file, line, column, reason) and OSError.

    Windows line ends, a byte order mark, blank lines, trailing tabs and spaces around fields are accepted.
    """
    file = os.fspath(path)
    with open(path, "rb") as stream:
        content = stream.read().removeprefix(b"\xef\xbb\xbf")
    lines, first_seen, warnings = [], dict[int, int](), []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if not raw.strip():
            continue
        line = _parse(raw, file, number)
        if (earlier := first_seen.setdefault(line.index, number)) != number:
            warnings.append(f"{file}, line {number}: the index {line.index} was already used in line {earlier}")
        lines.append(line)
    return LstLines(lines, warnings)


def write_lst(path: str | os.PathLike[str], lines: Iterable[LstLine]) -> None:
    """Write as im2rec does: labels with six decimals. Raises ValueError for a path that a line cannot hold."""
    text = "".join(map(_format, lines))
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _parse(raw: bytes, file: str, number: int) -> LstLine:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        column = raw[: error.start].count(b"\t") + 1
        reason = f"the byte 0x{raw[error.start]:02x} is not UTF-8 text; save the file as UTF-8"
        raise LstError(file, number, column, reason) from None
    fields = [field.strip() for field in text.rstrip().split("\t")]
    if len(fields) < 3:
        reason = f"expected index, label and path separated by tabs, found {len(fields)} field(s)"
        raise LstError(file, number, len(fields), f"{reason}: {text.strip()[:80]!r}")
    index = _index(fields[0], file, number)
    labels = tuple(_label(field, file, number, column) for column, field in enumerate(fields[1:-1], start=2))
    return LstLine(index, labels, fields[-1], number)


def _index(field: str, file: str, number: int) -> int:
    given = _finite(field)
    # the digits themselves: floats cannot tell the largest indices apart
    index = int(field) if given is not None and field.isdecimal() else given
    if index is None or index != int(index) or not 0 <= index <= _MAX_INDEX:
        raise LstError(
            file, number, 1, f"the index {field[:80]!r} is not a whole number from 0; number the lines 0, 1, 2, …"
        )
    return int(index)


def _label(field: str, file: str, number: int, column: int) -> float:
    label = _finite(field)
    if label is None:
        raise LstError(file, number, column, f"the label {field[:80]!r} is not a number; write class ids from 0")
    return label


def _finite(field: str) -> float | None:
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def fits(path: str) -> bool:
    """Whether a line can hold the path as it is."""
    return bool(path) and path == path.strip() and not UNFIT.search(path)


def _format(line: LstLine) -> str:
    if not fits(line.path):
        raise ValueError(f"the path {line.path!r} cannot stand in a .lst file; rename the image")
    return "\t".join((str(line.index), *(f"{label:f}" for label in line.labels), line.path)) + "\n"
