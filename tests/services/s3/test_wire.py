"""What only shows in the bytes: Expect, trailers, broken uploads, flat memory. No SDK in between but for signing."""

import base64
import http.client
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from darkroom.testing.live_s3 import KEY, SECRET, LiveS3
from tests.objects.polling import wait_until


def signed(server: LiveS3, method: str, path: str, headers: dict[str, str], payload: str) -> dict[str, str]:
    """All headers of a request that is signed with ``payload`` as its x-amz-content-sha256."""
    request = AWSRequest(method, server.url + path, headers | {"X-Amz-Content-SHA256": payload})
    request.context["payload_signing_enabled"] = False
    auth = S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1")
    auth.payload = lambda _: payload  # type: ignore[method-assign]
    auth.add_auth(request)
    request.headers.replace_header("X-Amz-Content-SHA256", payload)
    return dict(request.headers.items())


def test_a_waiting_client_is_told_to_go_on_at_once(server: LiveS3, bucket: str) -> None:
    headers = signed(server, "PUT", f"/{bucket}/k", {"Expect": "100-continue"}, "UNSIGNED-PAYLOAD")
    lines = [f"PUT /{bucket}/k HTTP/1.1", f"Host: {urlsplit(server.url).netloc}", "Content-Length: 5"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((str(urlsplit(server.url).hostname), urlsplit(server.url).port or 80), 30) as plug:
        plug.sendall("\r\n".join([*lines, "", ""]).encode())
        assert plug.recv(1000).startswith(b"HTTP/1.1 100")
        plug.sendall(b"hello")
        assert plug.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_large_body_for_a_missing_bucket_is_refused_before_it_is_sent(server: LiveS3) -> None:
    headers = signed(server, "PUT", "/no-such-bucket-here/k", {"Expect": "100-continue"}, "UNSIGNED-PAYLOAD")
    lines = ["PUT /no-such-bucket-here/k HTTP/1.1", f"Host: {urlsplit(server.url).netloc}", "Content-Length: 99999999"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((str(urlsplit(server.url).hostname), urlsplit(server.url).port or 80), 30) as plug:
        plug.sendall("\r\n".join([*lines, "", ""]).encode())
        assert plug.recv(1000).startswith(b"HTTP/1.1 404")


def trailer(body: bytes, checksum: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[n : n + 7]), body[n : n + 7]) for n in range(0, len(body), 7))
    return chunks + b"0\r\nx-amz-checksum-crc32:" + base64.b64encode(checksum) + b"\r\n\r\n"


@pytest.mark.parametrize("right", [True, False])
def test_a_checksum_in_the_trailer_is_verified(server: LiveS3, s3: Any, bucket: str, right: bool) -> None:
    """As the SDKs send every upload over https."""
    body, payload = b"hello trailers", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    crc = zlib.crc32(body).to_bytes(4, "big") if right else b"\0\0\0\0"
    headers = {
        "Content-Encoding": "gzip,aws-chunked",
        "X-Amz-Decoded-Content-Length": str(len(body)),
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Sdk-Checksum-Algorithm": "CRC32",
    }
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    sent = signed(server, "PUT", f"/{bucket}/k", headers, payload)
    connection.request("PUT", f"/{bucket}/k", trailer(body, crc), sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if right:
        assert (answer.status, answer.headers["x-amz-checksum-crc32"]) == (200, base64.b64encode(crc).decode())
        got = s3.get_object(Bucket=bucket, Key="k")
        assert (got["Body"].read(), got["ContentEncoding"]) == (body, "gzip")
    else:
        assert (answer.status, b"<Code>BadDigest</Code>" in text) == (400, True)
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_body_that_is_not_what_was_signed_is_no_object(server: LiveS3, s3: Any, bucket: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    headers = signed(server, "PUT", f"/{bucket}/k", {}, "0" * 64)
    connection.request("PUT", f"/{bucket}/k", b"x" * 3_000_000, headers)
    answer = connection.getresponse()
    assert (answer.status, b"XAmzContentSHA256Mismatch" in answer.read()) == (400, True)
    connection.close()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_an_upload_that_breaks_off_leaves_nothing(server: LiveS3, s3: Any, bucket: str) -> None:
    root = server.store.path(server.store.put(bucket, "other", server.store.writer().commit())).parents[1]  # type: ignore[union-attr]

    def files() -> int:
        return sum(path.is_file() for path in root.rglob("*"))

    before = files()
    headers = signed(server, "PUT", f"/{bucket}/k", {}, "UNSIGNED-PAYLOAD")
    lines = [f"PUT /{bucket}/k HTTP/1.1", f"Host: {urlsplit(server.url).netloc}", "Content-Length: 9000000"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((str(urlsplit(server.url).hostname), urlsplit(server.url).port or 80), 30) as plug:
        plug.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * 4_000_000)
        wait_until(lambda: files() == before + 1)
    wait_until(lambda: files() == before)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["other"]
