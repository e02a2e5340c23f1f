"""Channels of images with a .lst that names them: every line that cannot be right is named with its column.

Decodes nothing.
"""

import logging
import os
import posixpath
import unicodedata
from collections.abc import Set
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from darkroom.algorithm.class_folders import contents
from darkroom.algorithm.data.samples import ListedSamples
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE, Hosts
from darkroom.formats.lst import LstError, LstLine, LstLines, read_lst

MOST_WARNINGS = 3


def open_listed(root: Path, lst_folder: Path, channel: str, log: logging.Logger, hosts: Hosts = ALONE) -> ListedSamples:
    """The images below ``root`` that the one .lst in ``lst_folder`` names. Raises CustomerError.

    ``hosts``: those that were given a part of the images each (ShardedByS3Key), and all of the .lst.

    Images are read where they lie: making records of them first, as SageMaker does, only costs time here.
    """
    lst_channel = f"{channel}_lst"
    if not lst_folder.is_dir():
        raise CustomerError(
            f"The {lst_channel} channel is missing. It holds the .lst file that lists the {channel} images."
        )
    log.info("Searching for .lst files in %s.", lst_folder)
    files = sorted(path for path in lst_folder.rglob("*") if path.is_file())
    lists = [path for path in files if path.suffix == ".lst"]
    if len(lists) != 1:
        found = f"{len(lists)} .lst files" if lists else contents(files)
        raise CustomerError(f"The {lst_channel} channel must hold exactly one .lst file; it holds {found}.")
    log.info("Creating record files for %s", lists[0].name)
    lines = _read(lists[0], channel, log)
    _check_paths(lines, lists[0], channel)
    there = {os.path.relpath(path, root) for path in root.rglob("*") if path.is_file()}
    _check_presence(lines, lists[0], there.union(*hosts.everyone(sorted(there)) if hosts.count > 1 else ()), channel)
    log.info("Done creating record files...")
    plain = (replace(line, path=os.path.normpath(line.path)) for line in lines)  # a/../b.jpg is there without an a
    return ListedSamples([line for line in plain if line.path in there], lists[0], root)


def _read(lst: Path, channel: str, log: logging.Logger) -> LstLines:
    try:
        lines = read_lst(lst)
    except LstError as error:
        raise _invalid(lst, channel, error.line, error.column, error.reason) from error
    if not lines:
        raise CustomerError(
            f"Invalid lst file in the {channel} channel. {lst.name} has no line; list one image a line."
        )
    for warning in lines.warnings[:MOST_WARNINGS]:
        log.warning("%s", warning.replace(str(lst), lst.name))
    if (more := len(lines.warnings) - MOST_WARNINGS) > 0:
        log.warning("… and %d more lines of %s repeat an index", more, lst.name)
    return lines


def _check_paths(lines: LstLines, lst: Path, channel: str) -> None:
    """Raises CustomerError for a path that could only lead out of the channel."""
    for line in lines:
        if line.path.startswith("/") or PureWindowsPath(line.path).drive:
            fault = "is absolute"
        elif posixpath.normpath(line.path).split("/")[0] == "..":
            fault = 'leaves the channel with ".."'
        else:
            continue
        reason = f"the path {line.path[:200]!r} {fault}; paths are relative to the channel's S3 prefix, as in cat/1.jpg"
        raise _invalid(lst, channel, line.number, _path_column(line), reason)


def _invalid(lst: Path, channel: str, line: int, column: int, reason: str) -> CustomerError:
    place = f"{lst.name}, line {line}, column {column}"
    return CustomerError(f"Invalid lst file in the {channel} channel. {place}: {reason}")


def _path_column(line: LstLine) -> int:
    return len(line.labels) + 2


def _check_presence(lines: LstLines, lst: Path, there: Set[str], channel: str) -> None:
    """Raises CustomerError where images that the .lst names are not in the channel."""
    missing = [line for line in lines if os.path.normpath(line.path) not in there]
    if not missing:
        return
    first = ", ".join(f"{line.path} (line {line.number})" for line in missing[:3])
    raise CustomerError(
        f"Invalid lst file in the {channel} channel. {len(missing)} of the {len(lines)} images that {lst.name} lists "
        f"are not in the channel: {first}{', …' if len(missing) > 3 else ''}. {_remedy(missing[0].path, there)}."
    )


def _remedy(missing: str, there: Set[str]) -> str:
    if missing.replace("\\", "/") in there:
        return "Write folders with / and not with \\ in the .lst"
    plain = os.path.normpath(missing)
    if any(path.startswith(f"{plain}/") for path in there):
        return f"{missing} is a folder: list its images one by one"
    if alike := {_folded(path): path for path in sorted(there)}.get(_folded(plain)):
        how = "in letter case, or in how accents are written (Unicode)"
        return f"The channel has {alike}, whose name differs {how}: write the .lst as the files are named"
    if os.path.basename(missing) in {os.path.basename(path) for path in there}:
        return "Paths in a .lst are relative to the channel's S3 prefix: images of these names lie in other folders"
    return "Upload them, or take their lines out"


def _folded(path: str) -> str:
    """The same for paths that a person may take for the same."""
    return unicodedata.normalize("NFC", path).casefold()
