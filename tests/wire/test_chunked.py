"""aws-chunked bodies: AWS's documented example, every framing, every way to lie."""

import asyncio
import hmac
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.wire.chunked import ChunkSigner, unchunked
from darkroom.wire.messages import Body, Request, ServiceError
from darkroom.wire.payload import checked
from darkroom.wire.sigv4 import Verifier

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
STAMP, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
# The chunk signatures of the example in the S3 API reference: 65,536 and 1,024 times "a", then nothing.
DOCUMENTED = [
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]


def documented_request() -> Request:
    body = b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (n, s.encode(), b"a" * n) for n, s in DOCUMENTED)
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": STAMP,
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": "66560",
        "content-length": "66824",
        "authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE},SignedHeaders=content-encoding;content-length;"
        "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=" + SEED,
    }
    return Request("PUT", "/examplebucket/chunkObject.txt", "", [], headers, Body(pieces(body, 1000), len(body)))


async def pieces(data: bytes, size: int):
    for start in range(0, len(data), size):
        yield data[start : start + size]


def run(body: Body) -> bytes:
    return asyncio.run(body.read(10**9))


def proof_of(request: Request):
    return Verifier({KEY: SECRET}.get, lambda: datetime(2013, 5, 24, tzinfo=UTC)).verify(request, "s3")


def test_the_documented_example():
    request = documented_request()
    body = checked(request, proof_of(request))
    assert "content-encoding" not in request.headers
    assert body.length == 66560
    assert run(body) == b"a" * 66560


@pytest.mark.parametrize("place", [100, 65_000, 65_700, 66_500, -90, -10])
def test_a_changed_byte_of_it_is_found(place):
    request = documented_request()
    data = bytearray(run(request.body))
    data[place] ^= 1
    request.body = Body(pieces(bytes(data), 7777))
    with pytest.raises(ServiceError) as error:
        run(checked(request, proof_of(request)))
    assert error.value.code in ("SignatureDoesNotMatch", "InvalidRequest", "IncompleteBody")


def decode(data: bytes, length: int | None = None, signer: ChunkSigner | None = None, size: int = 3):
    """(bytes inside, trailers)"""
    trailers: dict[str, str] = {}
    return run(Body(unchunked(pieces(data, size), length, signer, trailers.update))), trailers


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.integers(1, 50))
@settings(deadline=None, max_examples=50)
def test_any_chunks_in_any_pieces(chunks, size):
    data = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\nx-amz-checksum-crc32: AAAA==\r\n\r\n"
    whole = b"".join(chunks)
    assert decode(data, len(whole), size=size) == (whole, {"x-amz-checksum-crc32": "AAAA=="})


def test_content_encodings_beside_it_stay():
    request = documented_request()
    request.headers["content-encoding"] = "gzip, aws-chunked"
    checked(request, proof_of(documented_request()))
    assert request.headers["content-encoding"] == "gzip"


def test_trailers_become_headers_when_the_stream_has_ended():
    request = documented_request()
    request.headers |= {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "2",
    }
    request.body = Body(pieces(b"2\r\nab\r\n0\r\nX-Amz-Checksum-Crc32:abcd\r\n\r\n", 5))
    del request.headers["authorization"]
    body = checked(request, proof_of(request))
    assert "x-amz-checksum-crc32" not in request.headers
    assert run(body) == b"ab"
    assert request.headers["x-amz-checksum-crc32"] == "abcd"


# Signed trailers


def signer() -> ChunkSigner:
    return ChunkSigner(b"key", STAMP, SCOPE, SEED)


def signed_stream(chunks: list[bytes], trailer: bytes) -> bytes:
    chain, out = SEED, b""

    def sign(algorithm: str, digests: str) -> str:
        text = f"{algorithm}\n{STAMP}\n{SCOPE}\n{chain}\n{digests}"
        return hmac.digest(b"key", text.encode(), "sha256").hex()

    for chunk in [*chunks, b""]:
        chain = sign("AWS4-HMAC-SHA256-PAYLOAD", f"{sha256(b'').hexdigest()}\n{sha256(chunk).hexdigest()}")
        out += b"%x;chunk-signature=%s\r\n%s" % (len(chunk), chain.encode(), chunk + b"\r\n" if chunk else b"")
    signature = sign("AWS4-HMAC-SHA256-TRAILER", sha256(trailer + b"\n").hexdigest())
    return out + trailer + b"\r\nx-amz-trailer-signature:" + signature.encode() + b"\r\n\r\n"


def test_signed_trailers():
    data = signed_stream([b"abc", b"de"], b"x-amz-checksum-crc32:sOO8/Q==")
    assert decode(data, 5, signer()) == (b"abcde", {"x-amz-checksum-crc32": "sOO8/Q=="})


def test_changed_or_unsigned_trailers_are_refused():
    data = signed_stream([b"abc"], b"x-amz-checksum-crc32:sOO8/Q==")
    for broken in (data.replace(b"sOO8", b"sOO9"), data[: data.index(b"x-amz-trailer")] + b"\r\n"):
        with pytest.raises(ServiceError) as error:
            decode(broken, 3, signer())
        assert error.value.code == "SignatureDoesNotMatch"


def test_chunks_without_signatures_are_refused_where_they_are_promised():
    with pytest.raises(ServiceError) as error:
        decode(b"1\r\na\r\n0\r\n\r\n", 1, signer())
    assert error.value.code == "SignatureDoesNotMatch"


# Lies


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "InvalidRequest"),
        (b"zz\r\n", "InvalidRequest"),
        (b"-1\r\n", "InvalidRequest"),
        (b"f" * 17 + b"\r\n", "InvalidRequest"),
        (b"2\r\na", "IncompleteBody"),
        (b"2\r\nab", "InvalidRequest"),
        (b"2\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"1\r\na\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\n\r\n", "IncompleteBody"),
        (b"x" * 100_000, "InvalidRequest"),
        (b"2\r\nab\r\n0\r\n" + b"".join(b"t%d:1\r\n" % i for i in range(60)) + b"\r\n", "InvalidRequest"),
    ],
)
def test_broken_streams_are_client_errors(data, code):
    with pytest.raises(ServiceError) as error:
        decode(data, 2, size=1000)
    assert (error.value.code, error.value.status) == (code, 400)


@pytest.mark.parametrize("length", ["", "x", "-1", "٣", "9" * 30])
def test_the_decoded_length_must_be_a_number(length):
    request = documented_request()
    proof = proof_of(request)
    request.headers["x-amz-decoded-content-length"] = length
    with pytest.raises(ServiceError) as error:
        checked(request, proof)
    assert error.value.code == "MissingContentLength"


def test_unknown_streaming_declarations_are_refused():
    request = documented_request()
    del request.headers["authorization"]
    request.headers["x-amz-content-sha256"] = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
    with pytest.raises(ServiceError) as error:
        checked(request, proof_of(request))
    assert error.value.status == 501


def test_signed_chunks_need_a_signed_head():
    request = documented_request()
    del request.headers["authorization"]
    with pytest.raises(ServiceError) as error:
        checked(request, proof_of(request))
    assert error.value.code == "SignatureDoesNotMatch"
