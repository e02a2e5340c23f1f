"""Which objects make up a channel: what a prefix lists or a manifest names, and of that one host's part.

Knows the object store and the files that name objects, not where anything lands.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from darkroom.errors import NotFound
from darkroom.executors.base import Input, Shard, Source
from darkroom.executors.faults import StagingFailed, Stopped
from darkroom.formats.manifests import Manifest, ManifestError, Ref, parse_line, parse_manifest
from darkroom.objects.base import Object, ObjectStore

PAGE = 1000
MOST_MANIFEST_BYTES = 2**28  # of a manifest, which is read whole
MOST_LINE_BYTES = 2**24  # of an augmented manifest

T = TypeVar("T")


def url_of(channel: Input) -> str:
    return f"s3://{channel.bucket}/{channel.prefix}"


def objects(channel: Input, store: ObjectStore, stopped: Callable[[], bool]) -> Iterator[tuple[Object, str]]:
    """The objects of this host, each with the prefix that its place is told from. Raises StagingFailed, Stopped."""
    if channel.source is Source.MANIFEST:
        found = _named(channel, store)
    else:
        found = ((item, channel.prefix) for item in _listed(channel, store) if not _is_folder_marker(item))
    return _each(found, channel.shard, stopped)


def lines(
    channel: Input, store: ObjectStore, stopped: Callable[[], bool]
) -> Iterator[tuple[int, tuple[Object | str, ...]]]:
    """Of this host's lines of an augmented manifest the number, from 1, and an object or text for each attribute.

    Raises StagingFailed, Stopped.
    """
    url = url_of(channel)
    given = ((number, line) for number, line in enumerate(_split(_file(channel, store), store, url), 1) if line.strip())
    for number, line in _each(given, channel.shard, stopped):
        try:
            values = parse_line(line, channel.attributes)
            yield number, tuple(_get(value, store) if isinstance(value, Ref) else value for value in values)
        except (ManifestError, NotFound) as error:
            raise StagingFailed(
                f"augmented manifest {url} of channel {channel.channel!r}, line {number}: {error}"
            ) from None


def read_manifest(channel: Input, store: ObjectStore) -> Manifest:
    """Raises StagingFailed."""
    item = _file(channel, store)
    try:
        if item.size > MOST_MANIFEST_BYTES:
            raise ManifestError(f"it has {item.size} bytes; up to {MOST_MANIFEST_BYTES} are read")
        return parse_manifest(b"".join(store.read(item)))
    except ManifestError as error:
        raise StagingFailed(f"manifest {url_of(channel)} of channel {channel.channel!r}: {error}") from None


def part(found: Iterator[T], shard: Shard | None) -> Iterator[T]:
    """One host's part of what there is."""
    return found if shard is None else islice(found, shard.index, None, shard.count)


def _each(found: Iterator[T], shard: Shard | None, stopped: Callable[[], bool]) -> Iterator[T]:
    for item in part(found, shard):
        if stopped():
            raise Stopped
        yield item


def _listed(channel: Input, store: ObjectStore) -> Iterator[Object]:
    after: str | None = ""
    while after is not None:
        page = store.list(channel.bucket, prefix=channel.prefix, after=after, limit=PAGE)
        yield from page.objects
        after = page.next


def _named(channel: Input, store: ObjectStore) -> Iterator[tuple[Object, str]]:
    manifest = read_manifest(channel, store)
    for name in manifest.names:
        try:
            yield store.get(manifest.bucket, manifest.prefix + name), manifest.prefix
        except NotFound:
            raise StagingFailed(
                f"manifest {url_of(channel)} of channel {channel.channel!r} names "
                f"s3://{manifest.bucket}/{manifest.prefix}{name}, which does not exist"
            ) from None


def _file(channel: Input, store: ObjectStore) -> Object:
    try:
        return store.get(channel.bucket, channel.prefix)
    except NotFound:
        raise StagingFailed(
            f"channel {channel.channel!r} has S3DataType {channel.source}, and there is no such file at "
            f"{url_of(channel)}"
        ) from None


def _get(ref: Ref, store: ObjectStore) -> Object:
    try:
        return store.get(ref.bucket, ref.key)
    except NotFound:
        raise ManifestError(f"it names {ref.url}, which does not exist") from None


def _split(item: Object, store: ObjectStore, url: str) -> Iterator[bytes]:
    """The lines of an object, one in memory at a time."""
    rest = b""
    for chunk in store.read(item):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > MOST_LINE_BYTES:
            raise StagingFailed(f"{url} has a line of more than {MOST_LINE_BYTES} bytes: it is no augmented manifest")
        yield from whole
    yield rest


def _is_folder_marker(item: Object) -> bool:
    """What consoles make to show an empty folder."""
    return item.key.endswith("/") and item.size == 0
