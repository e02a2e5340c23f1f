"""Fills a task's /opt/ml before its command starts: config files, channels from the object store, the model archive.

File-mode input is a hard link to the stored blob where the file system allows, a copy where not, and fetched where the
store keeps the object elsewhere. Linked files are made read-only; ``isolation`` keeps root from writing to them, too.
Where each key lands is decided by pure functions. Knows no process.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from darkroom.contract.layout import Layout
from darkroom.errors import DarkroomError
from darkroom.executors.base import Archive, Input, Task
from darkroom.executors.faults import StagingFailed
from darkroom.executors.pinning import PIPES, Place, pin
from darkroom.executors.removal import remove
from darkroom.executors.sources import objects, url_of
from darkroom.formats.archives import BadArchive, unpack
from darkroom.objects.base import Object, ObjectStore

WRITE_BITS = 0o222


def stage(task: Task, base: Path, store: ObjectStore, stopped: Callable[[], bool]) -> None:
    """Lay out everything below ``base``, and what is piped beside it. May be run again over what an earlier run left.

    Raises StagingFailed, or Stopped soon after ``stopped`` says so.
    """
    pipes = base.parent / PIPES
    remove(base)
    remove(pipes)
    layout = Layout(base)
    for folder in (layout.config, layout.data, layout.model, layout.output_data, layout.checkpoints, layout.code):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in task.files.items():
            _write_file(base, name, text)
        for channel in task.inputs:
            _check_name(channel)
            if channel.pipe is not None:
                pin(channel, pipes / channel.channel, layout, store, place, stopped)
            else:
                _stage_channel(channel, layout.channel(channel.channel), store, stopped)
        if task.archive is not None:
            _stage_archive(task.archive, layout.model, base, store)
    except (DarkroomError, BadArchive) as error:
        raise StagingFailed(str(error)) from error
    except OSError as error:
        raise StagingFailed(f"cannot lay out the job's files: {error.strerror or error} ({error.filename})") from error


def destination(key: str, prefix: str) -> tuple[str, ...] | None:
    """Where an object lands below its channel's folder, as path parts; None where nothing is left to name it.

    A prefix that ends a path segment is a folder; any other is the beginning of names in its folder. Raises ValueError
    with the reason where the key cannot be a file there.
    """
    if key == prefix or key.startswith(prefix.rstrip("/") + "/"):
        remainder = key[len(prefix) :].removeprefix("" if prefix.endswith("/") or not prefix else "/")
        remainder = remainder or key.rpartition("/")[2]
    else:
        remainder = key[prefix.rfind("/") + 1 :]
    if not remainder:
        return None
    if remainder.startswith("/"):
        raise ValueError("it would be an absolute path")
    parts = tuple(part for part in remainder.split("/") if part)
    if "\0" in remainder:
        raise ValueError("it holds a NUL character")
    if {".", ".."} & set(parts):
        raise ValueError('"." and ".." cannot be folder names')
    return parts


def _write_file(base: Path, name: str, text: str) -> None:
    path = base.joinpath(*Path(name).parts)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise StagingFailed(f"file {name!r} would lie outside /opt/ml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _check_name(channel: Input) -> None:
    if Path(channel.channel).name != channel.channel or channel.channel == "..":
        raise StagingFailed(f"channel name {channel.channel!r} cannot be a folder name")


def _stage_channel(channel: Input, folder: Path, store: ObjectStore, stopped: Callable[[], bool]) -> None:
    folder.mkdir(exist_ok=True)
    staged = 0
    for item, prefix in objects(channel, store, stopped):
        lay(item, prefix, f"channel {channel.channel!r}", folder, store)
        staged += 1
    if not staged:
        raise StagingFailed(
            f'No S3 objects found under S3 URL "{url_of(channel)}" given in input data source of channel '
            f"{channel.channel!r}."
        )


def lay(item: Object, prefix: str, where: str, folder: Path, store: ObjectStore, put: Place | None = None) -> Path:
    """Put one object in its place below ``folder``, told from ``prefix``; the path. Raises StagingFailed."""
    url = f"s3://{item.bucket}/{item.key}"
    try:
        parts = destination(item.key, prefix)
        if parts is None or item.key.endswith("/"):
            raise ValueError("its name ends with a slash, but it has content")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        (put or place)(item, path, store)
    except ValueError as error:
        raise StagingFailed(f"object {url} cannot be a file in {where}: {error}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise StagingFailed(
            f"object {url} cannot be a file in {where}: another key there has the same path, or is a folder of it"
        ) from None
    except OSError as error:
        raise StagingFailed(f"cannot lay out object {url} in {where}: {error.strerror}") from None
    return path


def place(item: Object, path: Path, store: ObjectStore) -> None:
    """Have an object's content at a new path, read-only. Raises FileExistsError."""
    source = store.path(item)
    if source is None or not _link(source, path):
        copy(item, path, store)
    if (mode := path.stat().st_mode) & WRITE_BITS:
        path.chmod(mode & ~WRITE_BITS)


def copy(item: Object, path: Path, store: ObjectStore) -> None:
    """Have an object's content in a new file of its own. Raises FileExistsError."""
    with open(path, "xb") as file:
        if source := store.path(item):
            with open(source, "rb") as content:
                shutil.copyfileobj(content, file, 2**20)
        else:
            for chunk in store.read(item):
                file.write(chunk)


def _link(source: Path, path: Path) -> bool:
    """Hard-link; False where the file system, a limit on links or the kernel's protection of them does not allow it."""
    try:
        os.link(source, path)
    except (FileExistsError, NotADirectoryError, FileNotFoundError):
        raise
    except OSError:
        return False
    return True


def _stage_archive(archive: Archive, model: Path, base: Path, store: ObjectStore) -> None:
    url = f"s3://{archive.bucket}/{archive.key}"
    item = store.get(archive.bucket, archive.key)
    source = store.path(item)
    if source is not None:
        unpack(source, model, url)
        return
    fetched = base / "model.tar.gz"
    try:
        place(item, fetched, store)
        unpack(fetched, model, url)
    finally:
        fetched.unlink(missing_ok=True)
