"""The built-in store: the contract, and what is true of files on this machine."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Conflict, Invalid, NotFound
from darkroom.objects.base import Upload
from darkroom.objects.local import LocalStore
from darkroom.testing.object_store_contract import BUCKET, MIB, ObjectStoreContract, content_of, put, put_part, write
from tests.objects.polling import wait_until


def blob_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "blobs").rglob("*") if path.is_file())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


class TestLocalStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, root: Path) -> Iterator[LocalStore]:
        store = LocalStore(root)
        yield store
        store.close()

    def test_a_blob_is_read_only_so_that_a_job_cannot_change_it(self, store: LocalStore) -> None:
        assert store.path(put(store, "k")).stat().st_mode & 0o777 == 0o444

    def test_a_file_taken_in_is_linked_not_copied(self, store: LocalStore, tmp_path: Path) -> None:
        path = tmp_path / "model.tar.gz"
        path.write_bytes(b"weights")
        item = store.put_file(BUCKET, "model.tar.gz", path)
        assert store.path(item).stat().st_ino == path.stat().st_ino

    def test_a_copy_is_a_link(self, store: LocalStore) -> None:
        item = put(store, "k")
        copied = store.copy(item, BUCKET, "copy", {})
        assert copied.blob != item.blob
        assert os.path.samefile(store.path(item), store.path(copied))

    def test_a_refused_write_leaves_no_file(self, store: LocalStore, root: Path) -> None:
        with pytest.raises(NotFound):
            store.put("no-such-bucket", "k", write(store, b"x"))
        store.discard(write(store, b"x"))
        store.writer().abort()
        assert blob_files(root) == []

    def test_parts_of_one_size_share_a_file_that_becomes_the_object(self, store: LocalStore, root: Path) -> None:
        upload = store.create_upload(BUCKET, "big")
        done = [put_part(store, upload, number, bytes([number]) * 5 * MIB) for number in (2, 1)]
        done.append(put_part(store, upload, 3, b"end"))
        (shared,) = blob_files(root)
        inode = shared.stat().st_ino
        item = store.complete_upload(upload, sorted(done))
        assert store.path(item).stat().st_ino == inode
        assert store.path(item).stat().st_size == item.size == 10 * MIB + 3
        assert store.path(item).stat().st_mode & 0o777 == 0o444

    def test_a_part_that_was_given_up_does_not_show(self, store: LocalStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        first = put_part(store, upload, 1, b"a" * 5 * MIB)
        dead = store.part_writer(upload, 2, 5 * MIB)
        dead.write(b"x" * MIB)
        dead.abort()
        item = store.complete_upload(upload, [first])
        assert store.path(item).read_bytes() == b"a" * 5 * MIB

    def test_a_part_still_being_written_cannot_reach_the_joined_object(self, store: LocalStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        first = put_part(store, upload, 1, b"a" * 5 * MIB)
        late = store.part_writer(upload, 2, 5 * MIB)
        item = store.complete_upload(upload, [first])
        late.write(b"x" * MIB)
        blob = late.commit()
        with pytest.raises(NotFound):
            store.put_part(upload, 2, blob)
        assert store.path(item).read_bytes() == b"a" * 5 * MIB

    def test_a_part_may_not_be_longer_than_announced(self, store: LocalStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        writer = store.part_writer(upload, 1, MIB)
        with pytest.raises(OSError, match="longer than the announced"):
            writer.write(b"x" * (MIB + 1))
        writer.abort()

    def test_completing_at_once_from_two_threads_gives_one_object(self, store: LocalStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        done = [put_part(store, upload, 1, b"a" * 6 * MIB), put_part(store, upload, 2, b"b" * 7 * MIB)]
        etags: list[str] = []

        def complete(which: Upload) -> None:
            etags.append(store.complete_upload(which, done).etag)

        threads = [threading.Thread(target=complete, args=(upload,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(etags) == 4
        assert len(set(etags)) == 1
        assert content_of(store, "big") == b"a" * 6 * MIB + b"b" * 7 * MIB


class TestGarbage:
    def test_replaced_and_deleted_content_is_removed_after_the_grace(self, root: Path) -> None:
        store = LocalStore(root, grace_s=0)
        store.create_bucket(BUCKET)
        put(store, "k", b"one")
        put(store, "k", b"two")
        put(store, "gone", b"three")
        store.delete(BUCKET, "gone")
        upload = store.create_upload(BUCKET, "big")
        put_part(store, upload, 1, b"part")
        store.abort_upload(upload)
        last = store.path(store.get(BUCKET, "k"))
        wait_until(lambda: blob_files(root) == [last])
        store.close()

    def test_content_stays_for_the_grace(self, root: Path) -> None:
        store = LocalStore(root)
        store.create_bucket(BUCKET)
        path = store.path(put(store, "k", b"one"))
        put(store, "k", b"two")
        store.close()
        assert path.read_bytes() == b"one"

    def test_the_next_start_removes_what_has_no_name_and_nothing_else(self, root: Path) -> None:
        store = LocalStore(root)
        store.create_bucket(BUCKET)
        put(store, "kept", b"kept")
        upload = store.create_upload(BUCKET, "big")
        part = put_part(store, upload, 1, b"part")
        put(store, "replaced", b"old")
        put(store, "replaced", b"new")
        write(store, b"never named")
        half = store.writer()
        half.write(b"half")
        store.close()
        again = LocalStore(root)
        assert len(blob_files(root)) >= 3
        wait_until(lambda: len(blob_files(root)) == 3)
        again.complete_upload(upload, [part])
        contents = [content_of(again, key) for key in ("kept", "replaced", "big")]
        again.close()
        half.abort()
        assert contents == [b"kept", b"new", b"part"]

    def test_folders_of_earlier_starts_vanish_with_their_last_file(self, root: Path) -> None:
        LocalStore(root).close()
        store = LocalStore(root)
        store.create_bucket(BUCKET)
        write(store, b"never named")
        store.close()
        again = LocalStore(root)
        wait_until(lambda: list((root / "blobs").iterdir()) == [])
        again.close()


class TestOwner:
    def test_a_second_process_is_told_who_has_the_folder(self, root: Path) -> None:
        store = LocalStore(root)
        code = (
            f"from pathlib import Path; from darkroom.objects.local import LocalStore; LocalStore(Path({str(root)!r}))"
        )
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        store.close()
        assert "in use by another server" in second.stderr

    def test_a_closed_folder_may_be_opened_again(self, root: Path) -> None:
        store = LocalStore(root)
        store.create_bucket(BUCKET)
        store.close()
        again = LocalStore(root)
        with pytest.raises(Conflict):
            again.create_bucket(BUCKET)
        again.close()

    def test_keys_that_are_no_text_are_refused(self, root: Path) -> None:
        store = LocalStore(root)
        store.create_bucket(BUCKET)
        with pytest.raises(Invalid, match="UTF-8"):
            put(store, "\ud800")
        store.close()
        assert blob_files(root) == []


def test_an_upload_goes_on_after_a_restart(root: Path) -> None:
    store = LocalStore(root)
    store.create_bucket(BUCKET)
    upload = store.create_upload(BUCKET, "big")
    first = put_part(store, upload, 1, b"a" * 5 * MIB)
    store.close()
    again = LocalStore(root)
    second = put_part(again, upload, 2, b"b" * 5 * MIB)
    again.complete_upload(upload, [first, second])
    joined = content_of(again, "big")
    again.close()
    assert joined == b"a" * 5 * MIB + b"b" * 5 * MIB
