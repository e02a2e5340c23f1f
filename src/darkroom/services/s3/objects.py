"""Operations on one object, and DeleteObjects."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from darkroom.objects.base import Object
from darkroom.objects.checksums import Digests
from darkroom.services.s3.conditions import byte_range, check_read, part_range, quoted, write_condition
from darkroom.services.s3.faults import invalid_argument, invalid_request
from darkroom.services.s3.heads import (
    CHECKSUM_MEMBERS,
    checksums_of,
    head_of,
    members_of,
    tag_set,
    tags_of_header,
    tags_of_set,
)
from darkroom.services.s3.part import S3Part
from darkroom.services.s3.receiving import checksum_texts, promises, receive
from darkroom.wire.messages import Call, FileSlice, ServiceError
from darkroom.wire.operations import Operations

operation = Operations("s3")
Members = dict[str, Any]
MAX_BATCH = 1000
UNVERSIONED = (None, "", "null")  # buckets keep one version, whose id is "null"
EARLY_CHECK_BYTES = 8 * 2**20


@operation
async def put_object(part: S3Part, call: Call) -> Members:
    params, store = call.params, part.store
    promised = promises(call.request)
    head, tags, condition = head_of(params), tags_of_header(params.get("Tagging")), write_condition(params)

    def finish(blob: Any) -> Members:
        checksums = checksum_texts(blob.checksums)
        kept = checksums | ({"ChecksumType": "FULL_OBJECT"} if checksums else {})
        item = store.put(params["Bucket"], params["Key"], blob, head | kept, tags, condition)
        return {"ETag": quoted(item.etag), **kept}

    if (params["Body"].length or EARLY_CHECK_BYTES) >= EARLY_CHECK_BYTES:
        await part.in_thread(store.bucket, params["Bucket"])  # before anybody sends gigabytes for nothing
    return await receive(
        part, call.request, params["Body"], promised, lambda: store.writer(promised.algorithms), finish
    )


@operation
def get_object(part: S3Part, call: Call) -> Members:
    item = part.store.get(call.params["Bucket"], call.params["Key"])
    members, (start, stop) = _described(call, item)
    path = part.store.path(item)
    return members | {"Body": FileSlice(path, start, stop) if path else _streamed(part, item, start, stop)}


@operation
def head_object(part: S3Part, call: Call) -> Members:
    item = part.store.get(call.params["Bucket"], call.params["Key"])
    return _described(call, item)[0]


def _described(call: Call, item: Object) -> tuple[Members, tuple[int, int]]:
    """What GET and HEAD answer, and the bytes meant. Raises ServiceError where a condition does not hold."""
    params = call.params
    check_read(params, item)
    members = members_of(item.head, params) | {
        "ETag": quoted(item.etag),
        "LastModified": item.modified,
        "AcceptRanges": "bytes",
    }
    if item.tag_count:
        members["TagCount"] = item.tag_count
    if (number := params.get("PartNumber")) is not None:
        found = part_range(number, item) if item.size else None
        members |= {"PartsCount": len(item.parts)} if item.parts else {}
    else:
        found = byte_range(params.get("Range"), item.size)
    start, stop = found or (0, item.size)
    members["ContentLength"] = stop - start
    if found:
        members["ContentRange"] = f"bytes {start}-{stop - 1}/{item.size}"
    # Clients compare a checksum with the bytes they get, so it may only come with all of them.
    if params.get("ChecksumMode") == "ENABLED" and (start, stop) == (0, item.size) and not found:
        members |= checksums_of(item.head)
    return members, (start, stop)


async def _streamed(part: S3Part, item: Object, start: int, stop: int) -> AsyncIterator[bytes]:
    pieces = part.store.read(item, start, stop)
    while piece := await part.in_thread(next, pieces, b""):
        yield piece


@operation
def delete_object(part: S3Part, call: Call) -> None:
    part.store.delete(call.params["Bucket"], call.params["Key"], write_condition(call.params))


@operation
def delete_objects(part: S3Part, call: Call) -> Members:
    wanted = call.params["Delete"]
    if not 1 <= len(wanted["Objects"]) <= MAX_BATCH:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ServiceError("MalformedXML", text)
    keys = [item["Key"] for item in wanted["Objects"] if item.get("VersionId") in UNVERSIONED]
    part.store.delete_all(call.params["Bucket"], keys)
    deleted = [] if wanted.get("Quiet") else [{"Key": key} for key in keys]
    return {
        "Deleted": deleted,
        "Errors": [_no_such_version(i) for i in wanted["Objects"] if i.get("VersionId") not in UNVERSIONED],
    }


def _no_such_version(item: Members) -> Members:
    text = "The specified version does not exist."
    return {"Key": item["Key"], "VersionId": item["VersionId"], "Code": "NoSuchVersion", "Message": text}


@operation
def copy_object(part: S3Part, call: Call) -> Members:
    params, store = call.params, part.store
    source = source_of(part, params)
    check_read(params, source, "CopySource")
    replaces = params.get("MetadataDirective") == "REPLACE"
    same = (source.bucket, source.key) == (params["Bucket"], params["Key"])
    if same and not replaces and not params.get("WebsiteRedirectLocation"):
        raise invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )
    head = head_of(params) if replaces else members_of(source.head) | _as_text(source)
    head |= _checksums_for_copy(part, source, params.get("ChecksumAlgorithm"))
    if params.get("TaggingDirective") == "REPLACE":
        tags = tags_of_header(params.get("Tagging"))
    else:
        tags = dict(store.tags(source.bucket, source.key))
    item = store.copy(source, params["Bucket"], params["Key"], head, tags, write_condition(params))
    result = {"ETag": quoted(item.etag), "LastModified": item.modified, **checksums_of(head)}
    return {"CopyObjectResult": result}


def _as_text(source: Object) -> Members:
    return {"Expires": source.head["Expires"]} if "Expires" in source.head else {}


def _checksums_for_copy(part: S3Part, source: Object, wanted: str | None) -> dict[str, str]:
    """The source's checksums, unless another algorithm is asked for: then the content is read."""
    kept = checksums_of(source.head)
    if wanted is None or f"Checksum{wanted}" in kept:
        return kept
    if f"Checksum{wanted}" not in CHECKSUM_MEMBERS:
        raise invalid_request("Value for x-amz-checksum-algorithm header is invalid.")
    digests = Digests([wanted])
    for piece in part.store.read(source):
        digests.update(piece)
    return checksum_texts(digests.checksums) | {"ChecksumType": "FULL_OBJECT"}


def source_of(part: S3Part, params: Members) -> Object:
    """The object that x-amz-copy-source names: "bucket/key", percent-encoded, a slash in front or not."""
    text = params["CopySource"]
    name, _, version = text.partition("?versionId=")
    bucket, _, key = unquote(name).removeprefix("/").partition("/")
    if not bucket or not key:
        raise invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", *("x-amz-copy-source", text)
        )
    if version not in UNVERSIONED:
        raise ServiceError("NoSuchVersion", "The specified version does not exist.", 404, VersionId=version)
    return part.store.get(bucket, key)


@operation
def get_object_attributes(part: S3Part, call: Call) -> Members:
    params = call.params
    item = part.store.get(params["Bucket"], params["Key"])
    known: Members = {
        "ETag": item.etag,
        "Checksum": checksums_of(item.head) or None,
        "ObjectParts": _parts_page(item, params) if item.parts else None,
        "StorageClass": "STANDARD",
        "ObjectSize": item.size,
    }
    wanted = params["ObjectAttributes"]
    return {"LastModified": item.modified} | {name: value for name, value in known.items() if name in wanted}


def _parts_page(item: Object, params: Members) -> Members:
    after, limit = int(params.get("PartNumberMarker") or 0), params.get("MaxParts") or MAX_BATCH
    numbered = list(enumerate(item.parts, 1))[after : after + limit]
    last = numbered[-1][0] if numbered else after
    return {
        "TotalPartsCount": len(item.parts),
        "PartNumberMarker": after,
        "NextPartNumberMarker": last,
        "MaxParts": limit,
        "IsTruncated": last < len(item.parts),
        "Parts": [{"PartNumber": number, "Size": size} for number, size in numbered],
    }


@operation
def get_object_tagging(part: S3Part, call: Call) -> Members:
    return tag_set(part.store.tags(call.params["Bucket"], call.params["Key"]))


@operation
def put_object_tagging(part: S3Part, call: Call) -> None:
    tags = tags_of_set(call.params["Tagging"]["TagSet"])
    part.store.set_tags(call.params["Bucket"], call.params["Key"], tags)


@operation
def delete_object_tagging(part: S3Part, call: Call) -> None:
    part.store.set_tags(call.params["Bucket"], call.params["Key"], {})


@operation
def get_object_acl(part: S3Part, call: Call) -> Members:
    part.store.get(call.params["Bucket"], call.params["Key"])
    return owner_has_all(part)


def owner_has_all(part: S3Part) -> Members:
    """The one access control list there is: the account owns everything."""
    return {
        "Owner": part.owner,
        "Grants": [{"Grantee": {"Type": "CanonicalUser"} | part.owner, "Permission": "FULL_CONTROL"}],
    }
