"""Signatures against botocore's own signing code: what it signs is believed, and nothing that differs by a byte."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from unittest import mock
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.wire.messages import Body, Request, ServiceError
from darkroom.wire.models import model
from darkroom.wire.payload import checked
from darkroom.wire.sigv2 import NEVER_SIGNED, SUBRESOURCES
from darkroom.wire.sigv4 import Scope, Verifier, signing_key, signing_service

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOST = "127.0.0.1:9460"
KEYS = [
    "a b", "ü漢🙂", "+", "~", "*", "()", "=", "%", "%25", "a//b", "/a", "up/../x", ".", "&?#", "'\"<>", "a;b:c,d@e$f!",
]  # fmt: skip
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def body_of(data: bytes) -> Body:
    async def chunks():
        yield data

    return Body(chunks(), len(data))


def signed(signer, method="GET", path="/", query="", headers=None, body=b"", at=NOW) -> Request:
    """A request that botocore signed at a moment."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    draft = AWSRequest(method, url, headers or {}, body)
    draft.context["has_streaming_input"] = True
    with mock.patch("botocore.auth.get_current_datetime", return_value=at):
        signer.add_auth(draft)
    split = urlsplit(draft.url)
    sent = {name.lower(): str(value) for name, value in draft.headers.items()} | {"host": HOST}
    pairs = parse_qsl(split.query, keep_blank_values=True)
    return Request(method, split.path, split.query, pairs, sent, body_of(body))


def credentials(secret: str = SECRET, token: str | None = None) -> Credentials:
    return Credentials(KEY, secret, token)


def s3(**changes):
    return auth.S3SigV4Auth(credentials(**changes), "s3", "us-east-1")


def sagemaker(**changes):
    return auth.SigV4Auth(credentials(**changes), "sagemaker", "eu-west-1")


def presign(expires=3600, **changes):
    return auth.S3SigV4QueryAuth(credentials(**changes), "s3", "us-west-2", expires)


def verify(request: Request, kind="s3", body: bytes | None = None, now=NOW):
    verifier = Verifier({KEY: SECRET}.get, lambda: now)
    return verifier.verify(request, kind, sha256(body).hexdigest() if body is not None else None)


def refused(*arguments, **named) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        verify(*arguments, **named)
    return error.value


# What botocore signs is believed


@pytest.mark.parametrize("key", KEYS)
def test_nasty_keys_in_headers_and_in_urls(key):
    path = "/bucket/" + quote(key, safe="/~")
    assert verify(signed(s3(), "PUT", path, body=b"data")).caller.access_key == KEY
    assert verify(signed(presign(), "GET", path)).caller.region == "us-west-2"


@given(key=text, query=st.dictionaries(text, text, max_size=4), body=st.binary(max_size=20), metadata=text)
@settings(deadline=None, max_examples=60)
def test_any_request_to_s3(key, query, body, metadata):
    raw = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query.items())
    headers = {"x-amz-meta-m": " ".join(quote(metadata).split()) or "x"}
    request = signed(s3(), "PUT", "/b/" + quote(key, safe="/~"), raw, headers, body)
    proof = verify(request)
    assert (proof.caller.access_key, proof.payload_hash) == (KEY, sha256(body).hexdigest())


@given(body=st.binary(max_size=50), path=st.lists(text, max_size=3))
@settings(deadline=None, max_examples=60)
def test_any_request_to_a_json_service(body, path):
    raw = "/" + "/".join(quote(part, safe="~") for part in path)
    request = signed(sagemaker(), "POST", raw, headers={"X-Amz-Target": "SageMaker.X"}, body=body)
    assert verify(request, "json", body).caller.region == "eu-west-1"


def test_session_tokens_are_part_of_the_signature():
    request = signed(sagemaker(token="a token"), "POST", body=b"{}")
    assert verify(request, "json", b"{}").caller.access_key == KEY
    request.headers["x-amz-security-token"] = "another"
    assert refused(request, "json", body=b"{}").code == "InvalidSignatureException"


def test_clients_that_encode_otherwise_than_they_sign_are_believed():
    """curl and some SDKs send "~" as %7E or "+" raw, and sign the canonical form."""
    request = signed(s3(), "GET", "/b/a~b%2Bc", "prefix=a%2Bb&x=%7E".replace("%7E", "~"))
    request.path, request.raw_query = "/b/a%7Eb%2bc", "x=%7E&prefix=a%2bb"
    assert verify(request).caller.access_key == KEY


def test_the_signing_key_of_the_documentation():
    scope = Scope("AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3")
    assert signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope).hex() == (
        "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378"
    )


def test_the_scope_tells_the_service():
    assert signing_service(signed(sagemaker(), "POST")) == "sagemaker"
    assert signing_service(signed(presign(), "GET")) == "s3"
    assert signing_service(Request("GET", "/", "", [], {}, body_of(b""))) is None


# Nothing that differs is


def change(request: Request, what: str) -> Request:
    if what == "path":
        request.path += "x"
    elif what == "query":
        request.raw_query = f"{request.raw_query}&acl="
        request.query.append(("acl", ""))
    elif what == "method":
        request.method = "DELETE"
    elif what == "host":
        request.headers["host"] = "elsewhere"
    elif what == "date":
        request.headers["x-amz-date"] = "20260304T050608Z"
    else:
        request.headers[what] = "other"
    return request


@pytest.mark.parametrize("what", ["path", "query", "method", "host", "date", "x-amz-meta-m", "x-amz-content-sha256"])
def test_a_changed_request_is_refused(what):
    request = change(signed(s3(), "PUT", "/b/k", "a=b", {"x-amz-meta-m": "v"}, b"data"), what)
    assert refused(request).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("what", ["path", "query", "method", "host"])
def test_a_changed_presigned_url_is_refused(what):
    assert refused(change(signed(presign(), "GET", "/b/k"), what)).code == "SignatureDoesNotMatch"


def test_a_header_added_on_the_way_is_refused():
    for request in (signed(s3(), "PUT", "/b/k"), signed(presign(), "PUT", "/b/k")):
        request.headers["x-amz-acl"] = "public-read"
        error = refused(request)
        assert (error.code, error.extra["HeadersNotSigned"]) == ("AccessDenied", "x-amz-acl")


def test_the_host_must_be_signed():
    request = signed(s3(), "GET", "/")
    request.headers["authorization"] = request.headers["authorization"].replace("host;", "")
    assert refused(request).extra["HeadersNotSigned"] == "host"


def test_bodies_of_json_services_are_part_of_the_signature():
    request = signed(sagemaker(), "POST", body=b"{}")
    assert refused(request, "json", body=b"{ }").code == "InvalidSignatureException"
    request.headers["x-amz-content-sha256"] = sha256(b"{}").hexdigest()
    assert refused(request, "json", body=b"{ }").code == "InvalidSignatureException"


def test_only_s3_takes_bodies_that_nothing_vouches_for():
    signer = sagemaker()
    signer.payload = lambda request: "UNSIGNED-PAYLOAD"
    request = signed(signer, "POST", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, body=b"{}")
    assert refused(request, "json", body=b"{}").code == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("kind", "signer", "unknown", "mismatch"),
    [
        ("s3", s3, ("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403)),
        ("json", sagemaker, ("UnrecognizedClientException", 400), ("InvalidSignatureException", 400)),
        ("query", sagemaker, ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403)),
    ],
)
def test_wrong_keys_in_the_words_of_each_kind(kind, signer, unknown, mismatch):
    error = refused(signed(signer(secret="other"), "POST", body=b"{}"), kind, body=b"{}")
    assert (error.code, error.status) == mismatch
    request = signed(signer(), "POST", body=b"{}")
    request.headers["authorization"] = request.headers["authorization"].replace(KEY, "AKIDOTHER")
    error = refused(request, kind, body=b"{}")
    assert (error.code, error.status) == unknown


# Time


@pytest.mark.parametrize("minutes", [-15, 0, 15])
def test_fifteen_minutes_of_skew_are_allowed(minutes):
    assert verify(signed(s3(), "GET", at=NOW + timedelta(minutes=minutes))).caller.access_key == KEY


@pytest.mark.parametrize("seconds", [-901, 901])
def test_more_is_not(seconds):
    at = NOW + timedelta(seconds=seconds)
    assert refused(signed(s3(), "GET", at=at)).code == "RequestTimeTooSkewed"
    error = refused(signed(sagemaker(), "POST", body=b"", at=at), "json", body=b"")
    assert error.code == "InvalidSignatureException"
    assert error.message.startswith("Signature expired: " if seconds < 0 else "Signature not yet current: ")


def test_presigned_urls_expire():
    request = signed(presign(60), "GET", "/b/k")
    assert verify(request, now=NOW + timedelta(seconds=60)).caller.access_key == KEY
    error = refused(request, now=NOW + timedelta(seconds=61))
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")


def test_presigned_urls_live_a_week_at_most():
    assert verify(signed(presign(604800), "GET")).caller.access_key == KEY
    error = refused(signed(presign(604801), "GET"))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert "less than a week" in error.message


def test_the_day_of_the_scope_must_be_the_days():
    request = signed(s3(), "GET")
    request.headers["authorization"] = request.headers["authorization"].replace("20260304", "20260303")
    assert refused(request).code == "AuthorizationHeaderMalformed"


# What cannot be read


@pytest.mark.parametrize(
    "authorization",
    [
        "", "nonsense", "Bearer x", "AWS AKID:c2ln", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 Credential=A/20260304/r/s3/aws4_request, SignedHeaders=host, Signature=zz",
        "AWS4-HMAC-SHA256 Credential=/////aws4_request, SignedHeaders=;, Signature=" + "0" * 64,
    ],
)  # fmt: skip
def test_unreadable_authorizations_are_client_errors(authorization):
    for kind in ("s3", "json", "query"):
        request = signed(s3(), "GET")
        request.headers["authorization"] = authorization
        assert refused(request, kind, body=b"").status == 400


@pytest.mark.parametrize("stamp", ["", "20260304", "20261304T050607Z", "x" * 16, "٢٠٢٦0304T050607Z"])
def test_unreadable_times_are_client_errors(stamp):
    request = signed(s3(), "GET")
    request.headers["x-amz-date"] = stamp
    assert refused(request).status == 400


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
@pytest.mark.parametrize(
    "value", ["", "x", "-1", "9" * 30, "²", f"{KEY}/20260304/漢/s3/aws4_request", "٢٠٢٦0304T050607Z"]
)
def test_unreadable_query_parameters_are_client_errors(name, value):
    request = signed(presign(), "GET")
    request.query = [(k, value if k == f"X-Amz-{name}" else v) for k, v in request.query]
    assert refused(request).status in (400, 403)


def test_the_date_header_serves_where_no_stamp_is():
    request = signed(s3(), "GET", headers={"Date": "x"})
    assert "x-amz-date" not in request.headers
    assert verify(request).caller.access_key == KEY


# Version 2, presigned


def presign_v2(method="GET", path="/b/k", query="", headers=None, secret=SECRET, expires=60) -> Request:
    with mock.patch("botocore.auth.time.time", return_value=NOW.timestamp()):
        return signed(auth.HmacV1QueryAuth(credentials(secret), expires), method, path, query, headers)


@pytest.mark.parametrize("key", KEYS)
def test_version_2_nasty_keys(key):
    assert verify(presign_v2(path="/bucket/" + quote(key, safe="/~"))).caller.access_key == KEY


@pytest.mark.parametrize("query", ["response-content-type=a%20%C3%BC", "uploadId=x&partNumber=3", "acl", "other=1"])
def test_version_2_subresources(query):
    assert verify(presign_v2(query=query)).caller.access_key == KEY


def test_version_2_headers_travel_in_the_url():
    request = presign_v2("PUT", headers={"Content-Type": "image/png", "x-amz-meta-a": "b"})
    del request.headers["content-type"], request.headers["x-amz-meta-a"]
    assert verify(request).caller.access_key == KEY


@pytest.mark.parametrize("what", ["path", "query", "method"])
def test_version_2_changes_are_refused(what):
    assert refused(change(presign_v2(), what)).code == "SignatureDoesNotMatch"


def test_version_2_wrong_secret_key_and_time():
    assert refused(presign_v2(secret="other")).code == "SignatureDoesNotMatch"
    assert refused(presign_v2(), now=NOW + timedelta(seconds=61)).message == "Request has expired"
    request = presign_v2()
    request.query = [(k, "AKIDOTHER" if k == "AWSAccessKeyId" else v) for k, v in request.query]
    assert refused(request).code == "InvalidAccessKeyId"
    request.query = [("AWSAccessKeyId", KEY), ("Expires", "x")]
    assert refused(request).status == 400


def test_unsigned_requests_are_nobodys():
    assert verify(Request("GET", "/b/k", "", [], {"host": HOST}, body_of(b""))).caller.anonymous


# Bodies


def read(body: Body) -> bytes:
    return asyncio.run(body.read(10**9))


def test_a_body_must_have_the_hash_that_was_signed():
    request = signed(s3(), "PUT", "/b/k", body=b"data")
    proof = verify(request)
    assert read(checked(request, proof)) == b"data"
    request.body = body_of(b"dat4")
    with pytest.raises(ServiceError) as error:
        read(checked(request, proof))
    assert error.value.code == "XAmzContentSHA256Mismatch"


def test_large_bodies_are_hashed_beside_the_reader():
    data = bytes(3_000_000)
    request = signed(s3(), "PUT", "/b/k", body=data)
    proof = verify(request)
    assert read(checked(request, proof)) == data
    request.body = body_of(data[:-1] + b"x")
    with pytest.raises(ServiceError):
        read(checked(request, proof))


def test_an_unsigned_payload_may_be_anything():
    signer = s3()
    signer.payload = lambda request: "UNSIGNED-PAYLOAD"
    request = signed(signer, "PUT", "/b/k", body=b"data")
    assert read(checked(request, verify(request))) == b"data"


def test_nonsense_for_a_hash_is_refused():
    signer = s3()
    signer.payload = lambda request: "nonsense"
    request = signed(signer, "PUT", "/b/k", body=b"data")
    with pytest.raises(ServiceError) as error:
        checked(request, verify(request))
    assert error.value.code == "InvalidArgument"


def test_a_version_2_url_of_a_bucket_is_believed_as_boto3_signs_it():
    request = presign_v2(path="/b/")
    request.path = "/b"
    assert verify(request).caller.access_key == KEY


@pytest.mark.parametrize("name", ["publicAccessBlock", "attributes", "policyStatus"])
def test_a_version_2_url_cannot_be_turned_into_another_operation(name):
    request = presign_v2()
    request.raw_query += f"&{name}"
    request.query.append((name, ""))
    assert refused(request).code == "SignatureDoesNotMatch"


def test_every_parameter_that_chooses_an_operation_is_signed_or_refused_in_version_2():
    """list-type chooses among listings of the same keys, and boto3 does not sign it either."""
    operations = [model("s3").operation(name) for name in model("s3").operations]
    uris = [operation.http["requestUri"].partition("?")[2] for operation in operations]
    names = {name for uri in uris for name, _ in parse_qsl(uri, keep_blank_values=True)}
    assert names - SUBRESOURCES - NEVER_SIGNED <= {"list-type"}


def test_who_cannot_be_believed_is_refused_before_the_body():
    verifier = Verifier({KEY: SECRET}.get, lambda: NOW)
    verifier.foresee(signed(s3(), "PUT", "/b/k"), "s3")
    stranger = Verifier({}.get, lambda: NOW)
    with pytest.raises(ServiceError, match="InvalidAccessKeyId"):
        stranger.foresee(signed(s3(), "PUT", "/b/k"), "s3")
