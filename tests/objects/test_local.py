"""The built-in store: the contract, and what is true of files on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.objects.local import LocalStore
from darkroom.testing.object_store_contract import ObjectStoreContract


class TestLocalStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LocalStore]:
        store = LocalStore(tmp_path / "objects")
        yield store
        store.close()
