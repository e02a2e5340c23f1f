"""Fills a task's /opt/ml before its command starts: config files, channels from the object store, the model archive.

File-mode input is a hard link to the stored blob where the file system allows, a copy where not, and fetched where the
store keeps the object elsewhere. Linked files are made read-only; ``isolation`` keeps root from writing to them, too.
Where each key lands is decided by pure functions. Knows no process.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from darkroom.contract.layout import Layout
from darkroom.errors import DarkroomError
from darkroom.executors.base import Archive, Input, Task
from darkroom.executors.removal import remove
from darkroom.formats.archives import BadArchive, unpack
from darkroom.objects.base import Object, ObjectStore

PAGE = 1000
WRITE_BITS = 0o222


class StagingFailed(Exception):
    """The task cannot start: the message names the object, or the file, and the reason."""


class Stopped(Exception):
    """The task was stopped while its input was being laid out."""


def stage(task: Task, base: Path, store: ObjectStore, stopped: Callable[[], bool]) -> None:
    """Lay out everything below ``base``. May be run again over what an earlier run left.

    Raises StagingFailed, or Stopped soon after ``stopped`` says so.
    """
    remove(base)
    layout = Layout(base)
    for folder in (layout.config, layout.data, layout.model, layout.output_data, layout.checkpoints, layout.code):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in task.files.items():
            _write_file(base, name, text)
        for channel in task.inputs:
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


def _stage_channel(channel: Input, folder: Path, store: ObjectStore, stopped: Callable[[], bool]) -> None:
    url = f"s3://{channel.bucket}/{channel.prefix}"
    if Path(channel.channel).name != channel.channel or channel.channel == "..":
        raise StagingFailed(f"channel name {channel.channel!r} cannot be a folder name")
    folder.mkdir(exist_ok=True)
    staged = 0
    for item in _objects(channel, store):
        if stopped():
            raise Stopped
        staged += _stage_object(item, channel, folder, store)
    if not staged:
        raise StagingFailed(
            f'No S3 objects found under S3 URL "{url}" given in input data source of channel {channel.channel!r}.'
        )


def _objects(channel: Input, store: ObjectStore) -> Iterator[Object]:
    after: str | None = ""
    while after is not None:
        page = store.list(channel.bucket, prefix=channel.prefix, after=after, limit=PAGE)
        yield from page.objects
        after = page.next


def _stage_object(item: Object, channel: Input, folder: Path, store: ObjectStore) -> bool:
    """Put one object in its place; False for a folder marker."""
    if item.key.endswith("/") and item.size == 0:
        return False
    url = f"s3://{item.bucket}/{item.key}"
    try:
        parts = destination(item.key, channel.prefix)
        if parts is None or item.key.endswith("/"):
            raise ValueError("its name ends with a slash, but it has content")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        place(item, path, store)
    except ValueError as error:
        raise StagingFailed(f"object {url} cannot be a file in channel {channel.channel!r}: {error}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise StagingFailed(
            f"object {url} cannot be a file in channel {channel.channel!r}: "
            f"another key of the channel has the same path, or is a folder of it"
        ) from None
    except OSError as error:
        raise StagingFailed(f"cannot lay out object {url} in channel {channel.channel!r}: {error.strerror}") from None
    return True


def place(item: Object, path: Path, store: ObjectStore) -> None:
    """Have an object's content at a new path, read-only. Raises FileExistsError."""
    source = store.path(item)
    if source is None:
        with open(path, "xb") as file:
            for chunk in store.read(item):
                file.write(chunk)
    elif not _link(source, path):
        with open(source, "rb") as content, open(path, "xb") as file:
            shutil.copyfileobj(content, file, 2**20)
    if (mode := path.stat().st_mode) & WRITE_BITS:
        path.chmod(mode & ~WRITE_BITS)


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
