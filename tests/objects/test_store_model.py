"""The store against a dictionary: any sequence of operations, with restarts in between."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from darkroom.errors import NotFound, PreconditionFailed
from darkroom.objects.base import Condition, Upload
from darkroom.objects.local import LocalStore
from darkroom.testing.object_store_contract import BUCKET, put, put_part
from tests.objects.test_listing import expected

KEYS = st.one_of(
    st.sampled_from(["a", "a/", "a/b", "a/b/c", "b", "é", "日本/写真", "..", "x" * 1024]),
    st.text(st.sampled_from("ab/é𝄞\0\n%"), min_size=1, max_size=6),
)
CONTENT = st.binary(max_size=50)


class Store(RuleBasedStateMachine):
    """``objects`` and ``parts`` are what must be there."""

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.open()
        self.store.create_bucket(BUCKET)
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}

    def open(self) -> LocalStore:
        return LocalStore(self.folder / "objects", min_part_bytes=0, grace_s=0)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(key=KEYS, content=CONTENT)
    def put(self, key: str, content: bytes) -> None:
        put(self.store, key, content)
        self.objects[key] = content

    @rule(key=KEYS, content=CONTENT)
    def put_if_absent(self, key: str, content: bytes) -> None:
        if key in self.objects:
            with pytest.raises(PreconditionFailed):
                put(self.store, key, content, condition=Condition(absent=True))
        else:
            put(self.store, key, content, condition=Condition(absent=True))
            self.objects[key] = content

    @rule(source=KEYS, key=KEYS)
    def copy(self, source: str, key: str) -> None:
        if source in self.objects:
            self.store.copy(self.store.get(BUCKET, source), BUCKET, key, {})
            self.objects[key] = self.objects[source]

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.store.delete(BUCKET, key)
        self.objects.pop(key, None)

    @rule(keys=st.lists(KEYS, max_size=4))
    def delete_all(self, keys: list[str]) -> None:
        self.store.delete_all(BUCKET, keys)
        for key in keys:
            self.objects.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        if key in self.objects:
            assert b"".join(self.store.read(self.store.get(BUCKET, key))) == self.objects[key]
        else:
            with pytest.raises(NotFound):
                self.store.get(BUCKET, key)

    @rule(prefix=st.text(st.sampled_from("ab/é"), max_size=2), delimiter=st.sampled_from(["", "/"]), after=KEYS)
    def list(self, prefix: str, delimiter: str, after: str) -> None:
        page = self.store.list(BUCKET, prefix, delimiter, after)
        found = sorted([*(item.key for item in page.objects), *page.prefixes], key=str.encode)
        assert found == expected(self.objects, prefix, delimiter, after)

    @rule(target=uploads, key=KEYS)
    def create_upload(self, key: str) -> Upload:
        upload = self.store.create_upload(BUCKET, key)
        self.parts[upload.id] = {}
        return upload

    @rule(upload=uploads, number=st.integers(1, 3), size=st.sampled_from([0, 1, 2**20, 2**20, 2**20 + 1]))
    def put_part(self, upload: Upload, number: int, size: int) -> None:
        content = bytes([number + len(self.parts[upload.id])]) * size
        put_part(self.store, upload, number, content)
        self.parts[upload.id][number] = content

    @rule(upload=consumes(uploads))
    def complete(self, upload: Upload) -> None:
        parts = self.parts.pop(upload.id)
        if not parts:
            self.store.abort_upload(upload)
            return
        etags = [(part.number, part.etag) for part in self.store.parts(upload)]
        self.store.complete_upload(upload, etags)
        self.objects[upload.key] = b"".join(content for _, content in sorted(parts.items()))

    @rule(upload=consumes(uploads))
    def abort(self, upload: Upload) -> None:
        self.store.abort_upload(upload)
        del self.parts[upload.id]

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def every_object_is_whole(self) -> None:
        found = {item.key: b"".join(self.store.read(item)) for item in self.store.list(BUCKET).objects}
        assert found == self.objects


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
