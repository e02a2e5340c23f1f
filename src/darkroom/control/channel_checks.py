"""Whether the channels of CreateTrainingJob can be honoured: what is wrong is said at once, by the setting's name.

Every fault is Invalid. Looks at the first objects of a channel, never at all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from darkroom.contract.images import Image
from darkroom.control.channels import FILE, MODEL, PIPE, RECORDIO, is_sharded, mode_of, source_of
from darkroom.control.locations import bucket_and_key
from darkroom.errors import Invalid, NotFound
from darkroom.executors.base import Source
from darkroom.formats.manifests import Manifest, ManifestError, Ref, parse_line, parse_manifest
from darkroom.objects.base import Object, ObjectStore

RECORDIO_TYPE = "application/x-recordio"
MOST_LOOKED_AT = 1000  # objects
MOST_READ_BYTES = 2**24  # of a manifest; one that is larger is read when the job starts
IMAGES = ("application/x-image", "image/")
NO_RECORDS = (".idx", ".lst", ".txt", ".jpg", ".jpeg", ".png")  # endings of what often lies beside .rec files


@dataclass(frozen=True)
class Asked:
    """What else of the request bears on its channels. ``builtin``: the algorithm, not a user's own command, reads."""

    mode: str
    hosts: int
    region: str
    role: str
    builtin: bool
    strict: bool


def check_names(names: Sequence[str], image: Image) -> None:
    if len(set(names)) < len(names):
        raise Invalid(f"ChannelName must be unique within a training job; given are: {', '.join(names)}")
    given = ", ".join(names) or "none"
    missing = [name for name in image.required_channels if name not in names]
    if missing:
        raise Invalid(
            f"Algorithm {image.repository} needs the channel {', '.join(missing)}. Channels given: {given}; "
            f"it reads: {', '.join(image.channels)}"
        )
    unknown = [name for name in names if image.channels and name not in image.channels]
    if unknown:
        raise Invalid(
            f"Algorithm {image.repository} has no channel {', '.join(unknown)}; it reads: {', '.join(image.channels)}"
        )


def check(channel: Mapping[str, Any], asked: Asked, objects: ObjectStore) -> None:
    """One channel: its settings, and that something is there."""
    name = channel["ChannelName"]
    if "S3DataSource" not in channel["DataSource"]:
        raise Invalid(f"channel {name}: only S3DataSource is offered here")
    try:
        kind = Source(source_of(channel)["S3DataType"])
    except ValueError:
        offered = ", ".join(Source)
        raise Invalid(
            f"channel {name}: S3DataType {source_of(channel)['S3DataType']} is not offered here; use one of {offered}"
        ) from None
    _check_mode(channel, asked)
    if kind is Source.AUGMENTED:
        _check_augmented(channel, asked, objects)
    elif kind is Source.MANIFEST:
        _check_manifest(channel, asked, objects)
    else:
        _check_prefix(channel, asked, objects)


def _check_mode(channel: Mapping[str, Any], asked: Asked) -> None:
    name, mode = channel["ChannelName"], mode_of(channel, asked.mode)
    wrapper, content_type = channel.get("RecordWrapperType", "None"), channel.get("ContentType", "")
    if mode != PIPE:
        if channel.get("CompressionType", "None") != "None":
            raise Invalid(
                f"channel {name}: CompressionType {channel['CompressionType']} is for input mode Pipe. Set InputMode "
                "to Pipe, or leave CompressionType out and give unpacked files"
            )
        return
    if content_type == MODEL:
        raise Invalid(f"channel {name}: a model is read in input mode File; set its InputMode to {FILE}")
    if not asked.builtin or source_of(channel)["S3DataType"] == Source.AUGMENTED:
        return
    if content_type.startswith(IMAGES) or name.endswith("_lst"):
        raise Invalid(
            f"channel {name}: image files are read in input mode File or FastFile. Pipe mode carries .rec files "
            f"(ContentType {RECORDIO_TYPE}) and augmented manifests; set InputMode to {FILE}"
        )
    if wrapper == RECORDIO:
        raise Invalid(
            f"channel {name}: RecordWrapperType RecordIO makes a record of each object, and .rec files hold records "
            "already: leave it out"
        )


def _check_augmented(channel: Mapping[str, Any], asked: Asked, objects: ObjectStore) -> None:
    name, attributes = channel["ChannelName"], source_of(channel).get("AttributeNames", ())
    given_mode = channel.get("InputMode", asked.mode)
    if given_mode != PIPE and (asked.strict or not asked.builtin):
        raise Invalid(
            f"channel {name}: S3DataType AugmentedManifestFile needs input mode Pipe, not {given_mode}: set InputMode "
            "of the channel, or TrainingInputMode, to Pipe"
        )
    if not attributes:
        raise Invalid(
            f"channel {name}: S3DataType AugmentedManifestFile needs AttributeNames, such as "
            '["source-ref", "class"]: the attributes of each line that are sent, in this order'
        )
    if asked.builtin and channel.get("RecordWrapperType", "None") != RECORDIO:
        raise Invalid(
            f"channel {name}: the algorithm reads an augmented manifest as records: set RecordWrapperType to RecordIO"
        )
    if asked.builtin and len(attributes) != 2:
        raise Invalid(
            f"channel {name}: AttributeNames {list(attributes)} must be two, image first and then its label: "
            '["source-ref", "class"]'
        )
    item = _file(channel, objects)
    head = b"".join(islice(objects.read(item, 0, min(item.size, MOST_READ_BYTES)), 1))
    line = next((line for line in head.split(b"\n") if line.strip()), b"")
    try:
        for value in parse_line(line, attributes):
            if isinstance(value, Ref):
                _must_exist(value, objects)
    except ManifestError as error:
        raise Invalid(
            f"channel {name}: augmented manifest {source_of(channel)['S3Uri']}, first line: {error}"
        ) from None


def _check_manifest(channel: Mapping[str, Any], asked: Asked, objects: ObjectStore) -> None:
    item = _file(channel, objects)
    if item.size > MOST_READ_BYTES:
        return
    try:
        manifest: Manifest = parse_manifest(b"".join(objects.read(item)))
        _must_exist(Ref(manifest.bucket, manifest.prefix + manifest.names[0]), objects)
    except ManifestError as error:
        url = source_of(channel)["S3Uri"]
        raise Invalid(f"channel {channel['ChannelName']}: manifest {url}: {error}") from None
    _check_shares(channel, len(manifest.names), asked.hosts)


def _check_prefix(channel: Mapping[str, Any], asked: Asked, objects: ObjectStore) -> None:
    """Something is there for every host, and a .rec file is not empty."""
    url = source_of(channel)["S3Uri"]
    bucket, prefix = bucket_and_key(url)
    is_recordio = channel.get("ContentType", RECORDIO_TYPE).startswith(RECORDIO_TYPE)  # it may be, if nothing is said
    found: Sequence[Object] = ()
    no_bucket = ""
    try:
        limit = MOST_LOOKED_AT if is_recordio or is_sharded(channel) else 1
        found = objects.list(bucket, prefix, limit=limit).objects
    except NotFound:
        no_bucket = " Error message from S3: The specified bucket does not exist."
    if not found:
        raise Invalid(
            f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({asked.region}), that objects exist under that S3 prefix, and that the "
            f'role "{asked.role}" has "s3:ListBucket" permissions on bucket "{bucket}".{no_bucket}'
        )
    if is_recordio:
        _check_records(channel["ChannelName"], list(found))
    if asked.builtin and mode_of(channel, asked.mode) == PIPE:
        _check_piped(channel, found)
    _check_shares(channel, sum(bool(item.size) or not item.key.endswith("/") for item in found), asked.hosts)


def _check_records(channel: str, found: list[Object]) -> None:
    empty = [item for item in found if item.key.endswith(".rec") and item.size == 0]
    if empty:
        raise Invalid(
            f"Unable to start training. Empty .rec file in {channel} channel: s3://{empty[0].bucket}/{empty[0].key} "
            "has 0 bytes. Make it again with im2rec and upload it."
        )


def _check_piped(channel: Mapping[str, Any], found: Sequence[Object]) -> None:
    """A pipe carries everything under the prefix, one object after the other."""
    gzipped = channel.get("CompressionType", "None") != "None"
    others = [item for item in found if item.key.lower().endswith(NO_RECORDS)]
    packed = [item for item in found if item.key.endswith(".gz") and not gzipped]
    for item in (others + packed)[:1]:
        remedy = (
            "set CompressionType to Gzip"
            if item in packed
            else f"give the S3Uri of the .rec file itself, or set InputMode to {FILE}"
        )
        raise Invalid(
            f"channel {channel['ChannelName']}: Pipe mode sends every object under {source_of(channel)['S3Uri']}, and "
            f"s3://{item.bucket}/{item.key} is no .rec file: {remedy}"
        )


def _check_shares(channel: Mapping[str, Any], count: int, hosts: int) -> None:
    if is_sharded(channel) and count < hosts:
        raise Invalid(
            f"channel {channel['ChannelName']}: ShardedByS3Key gives each of {hosts} hosts a part of the objects, and "
            f"there are {count}. Lower InstanceCount, or set S3DataDistributionType to FullyReplicated"
        )


def _file(channel: Mapping[str, Any], objects: ObjectStore) -> Object:
    source = source_of(channel)
    try:
        return objects.get(*bucket_and_key(source["S3Uri"]))
    except NotFound:
        raise Invalid(
            f"channel {channel['ChannelName']}: S3DataType {source['S3DataType']} needs the S3Uri of one file, and "
            f"there is none at {source['S3Uri']!r}"
        ) from None


def _must_exist(ref: Ref, objects: ObjectStore) -> None:
    try:
        objects.get(ref.bucket, ref.key)
    except NotFound:
        raise ManifestError(f"it names {ref.url}, which does not exist") from None
