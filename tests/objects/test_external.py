"""The store in an external S3: the contract, against a second instance of our own server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Invalid, Unavailable
from darkroom.objects.external import ExternalStore
from darkroom.testing.live_s3 import KEY, SECRET, live_s3
from darkroom.testing.object_store_contract import BUCKET, MIB, ObjectStoreContract, put, write


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with live_s3(tmp_path_factory.mktemp("external")) as server:
        yield server.url


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def opened(endpoint: str, spool: Path) -> Iterator[ExternalStore]:
    store = ExternalStore(endpoint, KEY, SECRET, spool=spool)
    yield store
    store.close()


class TestExternalStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, opened: ExternalStore) -> ExternalStore:
        return opened

    def test_a_tag_count_is_told(self, store: ExternalStore) -> None:
        assert put(store, "k", tags={"a": "1"}).tag_count == 1

    def test_nothing_stays_in_the_spool(self, store: ExternalStore, spool: Path) -> None:
        put(store, "k")
        store.discard(store.writer().commit())
        store.writer().abort()
        assert list(spool.iterdir()) == []

    def test_checksums_travel_along(self, store: ExternalStore) -> None:
        blob = write(store, b"123456789", ("CRC32",))
        store.put(BUCKET, "k", blob, {"ChecksumCRC32": "y/Q5Jg=="})
        assert store.get(BUCKET, "k").head["ChecksumCRC32"] == "y/Q5Jg=="
        with pytest.raises(Invalid, match="BadDigest"):
            store.put(BUCKET, "k", write(store, b"other"), {"ChecksumCRC32": "y/Q5Jg=="})


def test_what_one_put_cannot_take_goes_in_parts(endpoint: str, tmp_path: Path) -> None:
    store = ExternalStore(endpoint, KEY, SECRET, spool=tmp_path, max_put_bytes=5 * MIB)
    store.create_bucket("large")
    content = bytes(range(256)) * (11 * MIB // 256)
    blob = write(store, content)
    item = store.put("large", "k", blob, {"ContentType": "image/png"}, {"a": "1"})
    assert item.etag.endswith("-3")
    assert item.head["ContentType"] == "image/png"
    assert b"".join(store.read(item)) == content
    assert store.tags("large", "k") == {"a": "1"}
    assert list(tmp_path.iterdir()) == []
    store.close()


def test_what_a_crash_left_in_the_spool_is_removed(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "left").write_bytes(b"half")
    ExternalStore(endpoint, KEY, SECRET, spool=tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_is_said(endpoint: str, tmp_path: Path) -> None:
    store = ExternalStore(endpoint, KEY, "wrong", spool=tmp_path)
    with pytest.raises(Unavailable, match="SignatureDoesNotMatch"):
        store.list(BUCKET)
    store.close()


def test_an_endpoint_where_nobody_listens_is_said(tmp_path: Path) -> None:
    store = ExternalStore("http://127.0.0.1:1", KEY, SECRET, spool=tmp_path)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        store.list(BUCKET)
    store.close()
