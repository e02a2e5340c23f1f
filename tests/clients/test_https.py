"""Behind a proxy that ends TLS, boto3 uploads otherwise: aws-chunked, with the checksum after the body."""

import asyncio
import datetime
import io
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from darkroom.testing.live_server import LiveServer

pytestmark = [pytest.mark.clients, pytest.mark.timeout(120)]
BUCKET, LOOPBACK = "over-tls", "127.0.0.1"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of loopback in one file; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem),
    )
    return path


class Proxy:
    """Ends TLS on a free port and passes the bytes on as they are; remembers what went in."""

    def __init__(self, certificate: Path, port: int) -> None:
        self.heard = bytearray()
        self._target = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)

    async def start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=self._context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(LOOPBACK, self._target)
        try:
            await asyncio.gather(self._pass(reader, back, self.heard), self._pass(onward, writer, bytearray()))
        finally:
            for end in (back, writer):
                end.transport.abort()
                with suppress(ConnectionError, ssl.SSLError):
                    await end.wait_closed()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(2**16):
                heard += data
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Running, in a thread of its own."""
    with asyncio.Runner() as runner:  # its end cancels what still runs
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield loop
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture
def proxy(server: LiveServer, certificate: Path, loop: asyncio.AbstractEventLoop) -> Iterator[tuple[Proxy, int]]:
    """The proxy and its port."""
    made = Proxy(certificate, server.port)
    listening = asyncio.run_coroutine_threadsafe(made.start(), loop).result()
    yield made, listening.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(listening.close)


@pytest.fixture
def s3(server: LiveServer, proxy: tuple[Proxy, int], certificate: Path) -> Iterator[Any]:
    variables = server.environment()
    client = boto3.client(
        "s3",
        endpoint_url=f"https://{LOOPBACK}:{proxy[1]}",
        verify=str(certificate),
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


class Unseekable(io.RawIOBase):
    """A stream such as a pipe."""

    def __init__(self, content: bytes) -> None:
        self._inner = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(buffer)


def one_part(s3: Any, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=content, ContentEncoding="gzip")


def many_parts(s3: Any, content: bytes) -> None:
    s3.upload_fileobj(io.BytesIO(content), BUCKET, "k", ExtraArgs={"ContentEncoding": "gzip"})


def a_pipe(s3: Any, content: bytes) -> None:
    s3.upload_fileobj(Unseekable(content), BUCKET, "k", ExtraArgs={"ContentEncoding": "gzip"})


@pytest.mark.parametrize(("upload", "size"), [(one_part, 3_000_001), (many_parts, 9_000_001), (a_pipe, 9_000_001)])
def test_what_is_sent_in_chunks_is_stored_whole(
    s3: Any, proxy: tuple[Proxy, int], upload: Callable[[Any, bytes], None], size: int
) -> None:
    content = bytes(k % 251 for k in range(size))
    upload(s3, content)
    assert b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" in proxy[0].heard, "else this shows nothing"
    found = s3.get_object(Bucket=BUCKET, Key="k")
    assert found["Body"].read() == content
    assert found["ContentEncoding"] == "gzip", "aws-chunked is the way it came, and no property of the object"
