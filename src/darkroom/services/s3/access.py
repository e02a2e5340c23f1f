"""Who may call what. Signed callers own everything; the others may read what a bucket's policy lets everyone read.

Wraps every handler, so that no operation can forget to ask, and says the store's errors in S3's words.
"""

import inspect
import json
from collections.abc import Awaitable
from typing import Any

from darkroom.errors import DarkroomError, NotFound
from darkroom.objects.base import MAX_KEY_BYTES, ObjectStore
from darkroom.services.s3 import policy
from darkroom.services.s3.faults import access_denied, in_aws_words, invalid_request
from darkroom.services.s3.part import S3Part
from darkroom.wire.messages import Call, ServiceError
from darkroom.wire.operations import Bound, Result

# What a bucket policy can open to everyone. Nothing that writes is in this table.
PUBLIC = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "GetObjectAttributes": "s3:GetObjectAttributes",
    "GetObjectTagging": "s3:GetObjectTagging",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "GetBucketLocation": "s3:GetBucketLocation",
}
# What would be silently wrong if it were accepted: it asks for something that is not done here.
NOT_DONE_HERE = (
    *("SSECustomerAlgorithm", "CopySourceSSECustomerAlgorithm", "ObjectLockMode", "ObjectLockRetainUntilDate"),
    *("ObjectLockLegalHoldStatus", "WriteOffsetBytes", "MFA"),
)
OWN_ACLS = (None, "private", "bucket-owner-full-control", "bucket-owner-read")


def guarded(part: S3Part, handler: Bound) -> Bound:
    """The handler behind all checks that do not depend on the operation."""
    if inspect.iscoroutinefunction(handler):

        async def later(call: Call) -> Result:
            try:
                await _admit_later(part, call)
                result: Result = await handler(call)
                return result
            except (DarkroomError, OSError) as error:
                raise await part.in_thread(_refusal, part, call, error) from error

        return later

    def now(call: Call) -> Result | Awaitable[Result]:
        try:
            _admit(part, call)
            return handler(call)
        except (DarkroomError, OSError) as error:
            raise _refusal(part, call, error) from error

    return now


async def _admit_later(part: S3Part, call: Call) -> None:
    if call.caller.anonymous:  # reads the bucket's policy
        await part.in_thread(_admit, part, call)
    else:
        _admit(part, call)


def _admit(part: S3Part, call: Call) -> None:
    """Raises ServiceError where the request goes no further."""
    params = call.params
    for member in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
        if params.get(member, part.account) != part.account:
            raise access_denied()
    if len(params.get("Key", "").encode(errors="replace")) > MAX_KEY_BYTES:
        raise ServiceError(
            "KeyTooLongError", "Your key is too long", Size=len(params["Key"].encode()), MaxSizeAllowed=MAX_KEY_BYTES
        )
    if call.caller.anonymous and not _public(part.store, call):
        raise access_denied()
    _check_offered(params)


def _check_offered(params: dict[str, Any]) -> None:
    for member in NOT_DONE_HERE:
        if params.get(member) is not None:
            text = "A header you provided implies functionality that is not implemented"
            raise ServiceError("NotImplemented", text, 501, Header=member)
    if params.get("ACL") not in OWN_ACLS or any(name.startswith("Grant") for name in params):
        raise ServiceError(
            "AccessControlListNotSupported",
            "The bucket does not allow ACLs; use a bucket policy to make objects public",
        )
    if params.get("VersionId") not in (None, "", "null"):
        raise ServiceError("NoSuchVersion", "The specified version does not exist.", 404, VersionId=params["VersionId"])


def _public(store: ObjectStore, call: Call) -> bool:
    action = PUBLIC.get(call.operation)
    if action is None:
        return False
    if any(name.startswith("Response") for name in call.params):
        raise invalid_request("Request specific response headers cannot be used for anonymous GET requests.")
    return everyone_may(store, action, call.params["Bucket"], call.params.get("Key"))


def everyone_may(store: ObjectStore, action: str, bucket: str, key: str | None = None) -> bool:
    """Whether the bucket's policy opens this to the world. Raises NotFound("bucket")."""
    text = store.document(bucket, "policy")
    if text is None or block_of(store, bucket)["RestrictPublicBuckets"]:
        return False
    resource = f"arn:aws:s3:::{bucket}" + ("" if key is None else f"/{key}")
    return policy.allows_everyone(policy.parse(text, bucket), action, resource)


def block_of(store: ObjectStore, bucket: str) -> dict[str, bool]:
    """The bucket's public access block; all open where there is none."""
    text = store.document(bucket, "public-access-block")
    settings = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return dict.fromkeys(settings, False) | (json.loads(text) if text else {})


def _refusal(part: S3Part, call: Call, error: DarkroomError | OSError) -> ServiceError:
    """An error in S3's words. Who may not list is not told that a key is missing."""
    if isinstance(error, NotFound) and error.kind == "key" and call.caller.anonymous:
        bucket: str = call.params["Bucket"]
        if not everyone_may(part.store, "s3:ListBucket", bucket):
            return access_denied()
    return in_aws_words(error)
