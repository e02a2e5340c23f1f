"""The store in an external S3: the contract, against a second instance of our own server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Unavailable
from darkroom.objects.external import ExternalStore
from darkroom.testing.live_s3 import KEY, SECRET, live_s3
from darkroom.testing.object_store_contract import BUCKET, ObjectStoreContract, put


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with live_s3(tmp_path_factory.mktemp("external")) as server:
        yield server.url


class TestExternalStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, endpoint: str, tmp_path: Path) -> Iterator[ExternalStore]:
        store = ExternalStore(endpoint, KEY, SECRET, spool=tmp_path / "spool")
        yield store
        store.close()

    def test_a_tag_count_is_told(self, store: ExternalStore) -> None:
        assert put(store, "k", tags={"a": "1"}).tag_count == 1

    def test_nothing_stays_in_the_spool(self, store: ExternalStore, tmp_path: Path) -> None:
        put(store, "k")
        store.discard(store.writer().commit())
        store.writer().abort()
        assert list((tmp_path / "spool").iterdir()) == []

    def test_what_a_crash_left_in_the_spool_is_removed(self, endpoint: str, tmp_path: Path) -> None:
        (tmp_path / "spool").mkdir(exist_ok=True)
        (tmp_path / "spool" / "left").write_bytes(b"half")
        ExternalStore(endpoint, KEY, SECRET, spool=tmp_path / "spool").close()
        assert list((tmp_path / "spool").iterdir()) == []

    def test_a_wrong_key_is_said(self, endpoint: str, tmp_path: Path) -> None:
        store = ExternalStore(endpoint, KEY, "wrong", spool=tmp_path / "other")
        with pytest.raises(Unavailable, match="SignatureDoesNotMatch"):
            store.list(BUCKET)
        store.close()
