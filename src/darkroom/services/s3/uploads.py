"""Operations of multipart uploads."""

import base64
from typing import Any

from darkroom.errors import NotFound
from darkroom.objects.base import Blob, Object, Part, Upload
from darkroom.objects.checksums import ALGORITHMS, composite, full_object
from darkroom.services.s3.conditions import check_read, copy_range, quoted, write_condition
from darkroom.services.s3.faults import in_aws_words, invalid_request
from darkroom.services.s3.heads import checksums_of, head_of, tags_of_header
from darkroom.services.s3.objects import source_of
from darkroom.services.s3.part import S3Part
from darkroom.services.s3.receiving import checksum_texts, promises, receive
from darkroom.wire.messages import Call, ServiceError
from darkroom.wire.operations import Operations

operation = Operations("s3")
Members = dict[str, Any]
MAX_PART_NUMBER = 10_000
PAGE = 1000
ONLY_FULL, ONLY_COMPOSITE = ("CRC64NVME",), ("SHA1", "SHA256")


@operation
def create_multipart_upload(part: S3Part, call: Call) -> Members:
    params = call.params
    head = head_of(params) | _checksum_plan(params.get("ChecksumAlgorithm"), params.get("ChecksumType"))
    upload = part.store.create_upload(params["Bucket"], params["Key"], head, tags_of_header(params.get("Tagging")))
    return {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.id, **_plan_members(upload)}


def _checksum_plan(algorithm: str | None, kind: str | None) -> dict[str, str]:
    """Which checksum the joined object will have, and of what kind."""
    if algorithm is None:
        if kind:
            raise invalid_request("The x-amz-checksum-type header can only be used with x-amz-checksum-algorithm.")
        return {}
    algorithm = algorithm.upper()
    if algorithm not in ALGORITHMS:
        raise invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ALGORITHMS)}]"
        )
    kind = kind or ("FULL_OBJECT" if algorithm in ONLY_FULL else "COMPOSITE")
    if (kind == "FULL_OBJECT" and algorithm in ONLY_COMPOSITE) or (kind == "COMPOSITE" and algorithm in ONLY_FULL):
        text = f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        raise invalid_request(text)
    return {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}


def _plan_members(upload: Upload) -> Members:
    return {name: upload.head[name] for name in ("ChecksumAlgorithm", "ChecksumType") if name in upload.head}


@operation
async def upload_part(part: S3Part, call: Call) -> Members:
    params, store = call.params, part.store
    number = _number(params)
    upload = await part.in_thread(store.upload, params["Bucket"], params["Key"], params["UploadId"])
    promised = promises(call.request, upload.head.get("ChecksumAlgorithm"))
    body = params["Body"]

    def finish(blob: Blob) -> Members:
        done = store.put_part(upload, number, blob)
        return {"ETag": quoted(done.etag), **checksum_texts(blob.checksums)}

    def writer() -> Any:
        return store.part_writer(upload, number, body.length, promised.algorithms)

    return await receive(part, call.request, body, promised, writer, finish)


@operation
def upload_part_copy(part: S3Part, call: Call) -> Members:
    params, store = call.params, part.store
    number, upload = _number(params), store.upload(params["Bucket"], params["Key"], params["UploadId"])
    source = source_of(part, params)
    check_read(params, source, "CopySource")
    start, stop = copy_range(params.get("CopySourceRange"), source.size)
    algorithm = upload.head.get("ChecksumAlgorithm")
    writer = store.part_writer(upload, number, stop - start, [algorithm] if algorithm else [])
    try:
        for piece in store.read(source, start, stop):
            writer.write(piece)
        blob = writer.commit()
    except BaseException:
        writer.abort()
        raise
    done = store.put_part(upload, number, blob)
    result = {"ETag": quoted(done.etag), "LastModified": done.modified, **checksum_texts(blob.checksums)}
    return {"CopyPartResult": result}


def _number(params: Members) -> int:
    number: int = params["PartNumber"]
    if not 1 <= number <= MAX_PART_NUMBER:
        text = f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive"
        raise ServiceError("InvalidArgument", text, ArgumentName="partNumber", ArgumentValue=number)
    return number


@operation
def complete_multipart_upload(part: S3Part, call: Call) -> Members:
    params, store = call.params, part.store
    bucket, key = params["Bucket"], params["Key"]
    try:
        upload = store.upload(bucket, key, params["UploadId"])
    except NotFound as error:
        item = _completed_before(part, bucket, key, params["UploadId"])
        if item is None:
            raise in_aws_words(error) from None
    else:
        item = _complete(part, upload, params)
    location = f"{call.request.headers.get('x-forwarded-proto', 'http')}://{call.request.headers.get('host', '')}"
    return {
        "Location": f"{location}{call.request.path}",
        "Bucket": bucket,
        "Key": key,
        "ETag": quoted(item.etag),
        **checksums_of(item.head),
    }


def _completed_before(part: S3Part, bucket: str, key: str, upload_id: str) -> Object | None:
    """The object that this upload became already: a client that lost the answer asks again."""
    try:
        item = part.store.get(bucket, key)
    except NotFound:
        return None
    return item if item.upload == upload_id else None


def _complete(part: S3Part, upload: Upload, params: Members) -> Object:
    wanted = (params.get("MultipartUpload") or {}).get("Parts") or []
    numbers = [item.get("PartNumber", 0) for item in wanted]
    if not wanted:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ServiceError("MalformedXML", text)
    if numbers != sorted(set(numbers)):
        text = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise ServiceError("InvalidPartOrder", text, UploadId=upload.id)
    by_number = {found.number: found for found in part.store.parts(upload)}
    named = [(item["PartNumber"], item.get("ETag", "").strip('"')) for item in wanted]
    for number, etag in named:
        if number not in by_number or by_number[number].etag != etag:
            raise in_aws_words(NotFound("part", str(number)))
    chosen = [by_number[number] for number in numbers]
    head = {name: value for name, value in upload.head.items() if not name.startswith("Checksum")}
    head |= _joined_checksum(upload, chosen, wanted, params)
    size = sum(found.size for found in chosen)
    if params.get("MpuObjectSize") not in (None, size):
        text = "The provided 'x-amz-mp-object-size' header value does not match what was computed."
        raise invalid_request(text)
    return part.store.complete_upload(upload, named, head, write_condition(params))


def _joined_checksum(upload: Upload, chosen: list[Part], wanted: list[Members], params: Members) -> dict[str, str]:
    """The checksum of the whole. Raises ServiceError where the client said another, for a part or for the whole."""
    algorithm = upload.head.get("ChecksumAlgorithm")
    if algorithm is None:
        return {}
    member, kind = f"Checksum{algorithm}", upload.head["ChecksumType"]
    for found, item in zip(chosen, wanted, strict=True):
        if item.get(member) not in (None, base64.b64encode(found.checksums[algorithm]).decode()):
            raise in_aws_words(NotFound("part", str(found.number)))
    if kind == "COMPOSITE":
        value = composite(algorithm, [found.checksums[algorithm] for found in chosen])
        text = f"{base64.b64encode(value).decode()}-{len(chosen)}"
    else:
        value = full_object(algorithm, [(found.checksums[algorithm], found.size) for found in chosen])
        text = base64.b64encode(value).decode()
    if params.get(member) not in (None, text, text.partition("-")[0]):
        raise ServiceError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    return {member: text, "ChecksumType": kind}


@operation
def abort_multipart_upload(part: S3Part, call: Call) -> None:
    params = call.params
    part.store.abort_upload(part.store.upload(params["Bucket"], params["Key"], params["UploadId"]))


@operation
def list_parts(part: S3Part, call: Call) -> Members:
    params = call.params
    upload = part.store.upload(params["Bucket"], params["Key"], params["UploadId"])
    after, limit = int(params.get("PartNumberMarker") or 0), min(params.get("MaxParts", PAGE), PAGE)
    found = [item for item in part.store.parts(upload) if item.number > after]
    shown = found[:limit]
    return {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1].number if shown else after,
        "MaxParts": limit,
        "IsTruncated": len(found) > limit,
        "Parts": [_listed(item) for item in shown],
        "Initiator": part.owner,
        "Owner": part.owner,
        "StorageClass": "STANDARD",
        **_plan_members(upload),
    }


def _listed(item: Part) -> Members:
    return {
        "PartNumber": item.number,
        "LastModified": item.modified,
        "ETag": quoted(item.etag),
        "Size": item.size,
        **checksum_texts(item.checksums),
    }
