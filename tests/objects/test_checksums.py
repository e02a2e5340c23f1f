"""Checksums against published check values, and their combination against hashing the whole."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.objects.checksums import ALGORITHMS, Digests, composite, full_object

CHECK = b"123456789"  # the input of the check values in the CRC catalogue
CRCS = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


@pytest.mark.parametrize(("name", "value"), CRCS.items())
def test_check_values_of_the_crc_catalogue(name: str, value: str) -> None:
    digest = ALGORITHMS[name].new()
    for byte in CHECK:
        digest.update(bytes([byte]))
    assert digest.digest().hex() == value


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.sampled_from(sorted(CRCS)))
def test_combined_parts_equal_the_whole(parts: list[bytes], name: str) -> None:
    def of(content: bytes) -> bytes:
        digest = ALGORITHMS[name].new()
        digest.update(content)
        return digest.digest()

    assert full_object(name, [(of(part), len(part)) for part in parts]) == of(b"".join(parts))


def test_a_composite_is_the_checksum_of_the_checksums() -> None:
    parts = [zlib.crc32(part).to_bytes(4, "big") for part in (b"a", b"b")]
    assert composite("CRC32", parts) == zlib.crc32(b"".join(parts)).to_bytes(4, "big")
    assert composite("SHA256", [b"x" * 32]) == hashlib.sha256(b"x" * 32).digest()


def test_only_what_is_asked_for_is_computed() -> None:
    digests = Digests(["SHA1"])
    digests.update(b"hello")
    assert digests.md5 == hashlib.md5(b"hello").digest()
    assert base64.b64encode(digests.checksums["SHA1"]) == b"qvTGHdzF6KLavt4PO0gs2a6pQ00="
    assert list(digests.checksums) == ["SHA1"]
