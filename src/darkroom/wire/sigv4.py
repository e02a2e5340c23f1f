"""Decides who signed a request: Signature Version 4 in headers or in the URL, and presigned Version 2 URLs.

Proves the head of a request at once. What the body must be to belong to it is part of the Proof; ``payload`` checks it.
Knows keys and clocks through the functions it is given, and nothing of what the caller may do.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from darkroom.wire.canonical import (
    canonical_path,
    canonical_query,
    canonical_request,
    normalised,
    normalised_query,
)
from darkroom.wire.messages import Caller, Request
from darkroom.wire.refusals import Reason, refusal
from darkroom.wire.sigv2 import escapes_signature, signatures_v2

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW = timedelta(minutes=15)
LONGEST_PRESIGN_S = 7 * 24 * 3600
REGION_OF_V2 = "us-east-1"
MAX_CACHED_KEYS = 1000
OTHER_MECHANISM = f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
UNREADABLE = (
    "The authorization header is malformed: it needs Credential, with a scope of date/region/service/aws4_request, "
    "SignedHeaders and Signature."
)
UNREADABLE_QUERY = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
    "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)
HEADER = re.compile(
    ALGORITHM + r" +Credential=(?P<key>[^/, ]+)/(?P<day>\d{8})/(?P<region>[^/, ]+)/(?P<service>[^/, ]+)/aws4_request,"
    r" *SignedHeaders=(?P<headers>[^, ]+), *Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
CREDENTIAL = re.compile(r"(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request", re.ASCII)
STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)


class Scope(NamedTuple):
    """What a signing key is good for."""

    key: str
    day: str  # YYYYMMDD
    region: str
    service: str

    @property
    def text(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Proof:
    """Who sent the head of a request, and what its body has to be.

    ``payload_hash`` is the declared one: hex SHA-256, UNSIGNED-PAYLOAD, STREAMING-… or "" for an unsigned request.
    The last three fields let signed chunks be checked.
    """

    caller: Caller
    payload_hash: str = ""
    scope: Scope | None = None
    stamp: str = ""
    signature: str = ""
    signing_key: bytes = field(default=b"", repr=False)


ANONYMOUS = Proof(Caller(None))


class _Claim(NamedTuple):
    """A Version 4 signature as the client wrote it."""

    scope: Scope
    stamp: str
    signed: tuple[str, ...]
    signature: str
    payload_hash: str
    query: str  # raw
    presigned: bool


def signing_service(request: Request) -> str | None:
    """The service a request says it is signed for; None for unsigned ones and those of Version 2."""
    if authorization := request.headers.get("authorization"):
        end = authorization.find("/aws4_request")
        return authorization[authorization.rfind("/", 0, end) + 1 : end] if end > 0 else None
    if "X-Amz-Credential" in request.raw_query:
        for name, value in request.query:
            if name == "X-Amz-Credential" and (found := CREDENTIAL.fullmatch(value)):
                return found["service"]
    return None


class Verifier:
    """``secret_of`` an access key is None for an unknown one; ``now`` is an aware datetime."""

    def __init__(
        self, secret_of: Callable[[str], str | None], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._secret_of, self._now = secret_of, now
        self._keys: dict[tuple[str, Scope], bytes] = {}

    def verify(self, request: Request, kind: str, body_hash: str | None = None, resource: str | None = None) -> Proof:
        """Raises ServiceError in the words of ``kind`` ("s3", "json", "query"); unsigned requests are ANONYMOUS.

        ``body_hash`` is of a body that was read whole, None where it is still to come. ``resource`` is the path with
        the bucket in it, where the host named the bucket.
        """
        claim = self._claim(request, kind, body_hash)
        if claim is not None:
            return self._check_signature(claim, request, kind, body_hash)
        if "AWSAccessKeyId=" in request.raw_query:
            return self._verify_v2(request, kind, resource or request.path)
        return ANONYMOUS

    def foresee(self, request: Request, kind: str) -> None:
        """Raises ServiceError for what no body can mend. Ask before a large one is read: anybody may send those."""
        claim = self._claim(request, kind, "")
        if claim is not None and self._secret_of(claim.scope.key) is None:
            raise refusal(kind, Reason.UNKNOWN_KEY, AWSAccessKeyId=claim.scope.key)

    def _claim(self, request: Request, kind: str, body_hash: str | None) -> _Claim | None:
        if "authorization" in request.headers:
            claim = self._claim_of_header(request, kind, body_hash)
        elif "X-Amz-Signature" in request.raw_query:
            claim = self._claim_of_query(request, kind, body_hash)
        else:
            return None
        _check_signed_headers(request, claim, kind)
        self._check_time(claim, request, kind)
        return claim

    # What the client claims

    def _claim_of_header(self, request: Request, kind: str, body_hash: str | None) -> _Claim:
        headers = request.headers
        found = HEADER.fullmatch(headers["authorization"])
        if found is None:
            known = headers["authorization"].startswith(ALGORITHM)
            raise refusal(kind, Reason.MALFORMED, UNREADABLE if known else OTHER_MECHANISM)
        stamp = headers.get("x-amz-date") or _stamp_of_date(headers.get("date", ""))
        if STAMP.fullmatch(stamp) is None:
            raise refusal(kind, Reason.MALFORMED, "AWS authentication requires a valid Date or x-amz-date header")
        payload_hash = headers.get("x-amz-content-sha256") or body_hash
        if payload_hash is None:
            raise refusal(kind, Reason.MALFORMED, "Missing required header for this request: x-amz-content-sha256")
        key, day, region, service, names, signature = found.groups()
        scope = Scope(key, day, region, service)
        return _Claim(scope, stamp, tuple(names.split(";")), signature, payload_hash, request.raw_query, False)

    def _claim_of_query(self, request: Request, kind: str, body_hash: str | None) -> _Claim:
        query = dict(request.query)
        found = CREDENTIAL.fullmatch(query.get("X-Amz-Credential", ""))
        missing = {"X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} - query.keys()
        if query.get("X-Amz-Algorithm") != ALGORITHM or found is None or missing:
            raise _malformed_query(kind, UNREADABLE_QUERY)
        expires = query["X-Amz-Expires"]
        if not (expires.isascii() and expires.isdigit() and len(expires) < 10):
            raise _malformed_query(kind, "X-Amz-Expires should be a number")
        if int(expires) > LONGEST_PRESIGN_S:
            limit = f"the given X-Amz-Expires must be less than {LONGEST_PRESIGN_S} seconds"
            raise _malformed_query(kind, f"X-Amz-Expires must be less than a week (in seconds); that is, {limit}")
        if STAMP.fullmatch(query["X-Amz-Date"]) is None:
            raise _malformed_query(kind, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        payload_hash = request.headers.get("x-amz-content-sha256") or query.get("X-Amz-Content-SHA256")
        return _Claim(
            Scope(*found.groups()),
            query["X-Amz-Date"],
            tuple(query["X-Amz-SignedHeaders"].split(";")),
            query["X-Amz-Signature"],
            payload_hash or (UNSIGNED if kind == "s3" else body_hash or UNSIGNED),
            request.raw_query,
            True,
        )

    # Whether it is true

    def _check_time(self, claim: _Claim, request: Request, kind: str) -> None:
        now, signed_at = self._now(), _moment(claim.stamp)
        if signed_at is None or claim.stamp[:8] != claim.scope.day:
            raise refusal(
                kind, Reason.MALFORMED, f"Invalid credential date {claim.scope.day!r}: it differs from {claim.stamp!r}."
            )
        if claim.presigned:
            if now > signed_at + timedelta(seconds=int(dict(request.query)["X-Amz-Expires"])):
                raise refusal(kind, Reason.EXPIRED, _expired(claim.stamp, now), ServerTime=_iso(now))
            if signed_at > now + SKEW:
                raise refusal(kind, Reason.SKEWED, f"Signature not yet current: {claim.stamp}", ServerTime=_iso(now))
        elif abs(now - signed_at) > SKEW:
            text = _expired(claim.stamp, now) if now > signed_at else f"Signature not yet current: {claim.stamp}"
            raise refusal(
                kind,
                Reason.SKEWED,
                text,
                RequestTime=claim.stamp,
                ServerTime=_iso(now),
                MaxAllowedSkewMilliseconds=900000,
            )

    def _check_signature(self, claim: _Claim, request: Request, kind: str, body_hash: str | None) -> Proof:
        scope = claim.scope
        if kind != "s3" and claim.payload_hash != body_hash:  # only S3 takes bodies that nothing vouches for
            raise refusal(kind, Reason.MISMATCH)
        secret = self._secret_of(scope.key)
        if secret is None:
            raise refusal(kind, Reason.UNKNOWN_KEY, AWSAccessKeyId=scope.key)
        key = self._signing_key(secret, scope)
        path = request.path if scope.service == "s3" else canonical_path(request.path)
        query = canonical_query(claim.query, "X-Amz-Signature" if claim.presigned else "")
        if not self._agrees(claim, request, key, path, query):
            # Some clients percent-encode the request in one way and sign it in another.
            path = normalised(path, "/-_.~") if scope.service == "s3" else path
            query = normalised_query(claim.query, "X-Amz-Signature" if claim.presigned else "")
            if not self._agrees(claim, request, key, path, query):
                raise refusal(kind, Reason.MISMATCH, AWSAccessKeyId=scope.key, SignatureProvided=claim.signature)
        caller = Caller(scope.key, scope.region)
        return Proof(caller, claim.payload_hash, scope, claim.stamp, claim.signature, key)

    def _agrees(self, claim: _Claim, request: Request, key: bytes, path: str, query: str) -> bool:
        text = canonical_request(request.method, path, query, request.headers, claim.signed, claim.payload_hash)
        digest = sha256(text.encode("latin-1", "replace")).hexdigest()
        to_sign = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope.text}\n{digest}"
        expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return hmac.compare_digest(expected.encode(), claim.signature.encode())

    def _signing_key(self, secret: str, scope: Scope) -> bytes:
        cached = self._keys.get((secret, scope))
        if cached is None:
            if len(self._keys) >= MAX_CACHED_KEYS:
                self._keys.clear()
            cached = self._keys[secret, scope] = signing_key(secret, scope)
        return cached

    def _verify_v2(self, request: Request, kind: str, resource: str) -> Proof:
        query = dict(request.query)
        key, signature, expires = (query.get(n, "") for n in ("AWSAccessKeyId", "Signature", "Expires"))
        if not (signature and expires.isascii() and expires.isdigit() and len(expires) < 12):
            raise _malformed_query(
                kind, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
            )
        if self._now().timestamp() > int(expires):
            raise refusal(kind, Reason.EXPIRED, Expires=expires, ServerTime=_iso(self._now()))
        secret = self._secret_of(key)
        if secret is None:
            raise refusal(kind, Reason.UNKNOWN_KEY, AWSAccessKeyId=key)
        signed = signatures_v2(secret, request, resource, expires)
        if escapes_signature(query) or not any(hmac.compare_digest(s.encode(), signature.encode()) for s in signed):
            raise refusal(kind, Reason.MISMATCH, AWSAccessKeyId=key, SignatureProvided=signature)
        return Proof(Caller(key, REGION_OF_V2), UNSIGNED)


def signing_key(secret: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (scope.day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _check_signed_headers(request: Request, claim: _Claim, kind: str) -> None:
    """The host and everything that changes what a request means must be covered by the signature."""
    unsigned = [n for n in request.headers if n[:6] == "x-amz-" and n not in claim.signed]
    if claim.presigned and "x-amz-content-sha256" in unsigned:
        unsigned.remove("x-amz-content-sha256")  # it takes part in the signature by its value
    if "host" not in claim.signed:
        unsigned.append("host")
    if unsigned:
        text = f"these headers must be signed: {', '.join(unsigned)}"
        raise refusal(kind, Reason.UNSIGNED_HEADERS, text, HeadersNotSigned=", ".join(unsigned))


def _malformed_query(kind: str, text: str) -> Exception:
    error = refusal(kind, Reason.MALFORMED, text)
    if kind == "s3":
        error.code = "AuthorizationQueryParametersError"
    return error


@lru_cache(maxsize=16)
def _moment(stamp: str) -> datetime | None:
    found = STAMP.fullmatch(stamp)
    assert found is not None  # checked when the claim was read
    try:
        return datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _stamp_of_date(text: str) -> str:
    """The Date header as a stamp; "" where it cannot be read."""
    try:
        return _stamp(parsedate_to_datetime(text))
    except ValueError:
        return ""


def _expired(stamp: str, now: datetime) -> str:
    floor = now - SKEW
    return f"Signature expired: {stamp} is now earlier than {_stamp(floor)} ({_stamp(now)} - 15 min.)"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
