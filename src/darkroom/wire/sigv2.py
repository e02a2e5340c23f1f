"""Signature Version 2 of presigned S3 URLs, which boto3 still writes by default in us-east-1.

Source: "Signing and authenticating REST requests (AWS signature version 2)" of the S3 developer guide.
"""

import base64
import hmac
import re
from collections.abc import Iterable
from urllib.parse import unquote

from darkroom.wire.messages import Request

SUBRESOURCES = frozenset(
    {
        *("accelerate", "acl", "analytics", "cors", "delete", "inventory", "lifecycle", "location", "logging"),
        *("metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires", "restore", "select"),
        *("select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning"),
        *("versions", "website"),
    }
)
# They choose another operation, and came after Version 2: its signature does not cover them.
NEVER_SIGNED = frozenset(
    {
        *(
            "abac",
            "annotation",
            "attributes",
            "encryption",
            "intelligent-tiering",
            "legal-hold",
            "metadataAnnotationTable",
        ),
        *("metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable"),
        *("ownershipControls", "policyStatus", "publicAccessBlock", "renameObject", "retention", "session"),
    }
)
HOISTED = re.compile(r"x-amz-[a-z0-9_.-]+|content-md5|content-type")


def signatures_v2(secret: str, request: Request, resource: str, expires: str) -> list[str]:
    """What a presigned URL may carry; ``resource`` is the undecoded path, bucket first.

    boto3 asks for "/bucket" and signs "/bucket/".
    """
    same = [resource, f"{resource}/"] if resource.count("/") == 1 and resource != "/" else [resource]
    texts = [string_to_sign(request, name, expires).encode("latin-1", "replace") for name in same]
    return [base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode() for text in texts]


def escapes_signature(query: Iterable[str]) -> bool:
    """Whether somebody could have made another request of a presigned URL by these parameter names."""
    return not NEVER_SIGNED.isdisjoint(query)


def string_to_sign(request: Request, resource: str, expires: str) -> str:
    headers = hoisted(request)
    custom = "".join(f"{n}:{headers[n].strip()}\n" for n in sorted(headers) if n.startswith("x-amz-"))
    standard = f"{headers.get('content-md5', '')}\n{headers.get('content-type', '')}"
    return f"{request.method}\n{standard}\n{expires}\n{custom}{resource}{_subresources(request.raw_query)}"


def hoisted(request: Request) -> dict[str, str]:
    """Headers, with those that a presigned URL carries in its query string."""
    carried = {
        name.lower(): value.encode().decode("latin-1")
        for name, value in request.query
        if HOISTED.fullmatch(name.lower()) and name.lower() not in request.headers
    }
    return request.headers | carried


def _subresources(raw_query: str) -> str:
    pairs = sorted(p.split("=", 1) for p in raw_query.split("&") if p.split("=", 1)[0] in SUBRESOURCES)
    return "?" + "&".join("=".join([p[0], *(unquote(v, "latin-1") for v in p[1:])]) for p in pairs) if pairs else ""
