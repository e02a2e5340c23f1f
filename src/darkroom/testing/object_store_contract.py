"""What every ``ObjectStore`` must do. Subclass, give a ``store`` fixture, and pytest runs it all.

The bucket ``photos`` is made and removed around every test. Sizes are S3's own: parts of 5 MiB.
"""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Conflict, Invalid, NotFound, PreconditionFailed
from darkroom.objects.base import Blob, Condition, Object, ObjectStore, Upload

BUCKET = "photos"
MIB = 2**20
HEAD = {"ContentType": "image/jpeg", "Metadata": {"camera": "Leica"}}
ODD_KEYS = [
    "ü n/i+c%ode.txt",
    "a//b",
    "dot/../x",
    "..",
    "q?&=x",
    "tilde~()!*",
    " lead",
    "日本/写真.jpg",
    "x" * 1024,
    "𝄞",
]


def write(store: ObjectStore, content: bytes, checksums: tuple[str, ...] = ()) -> Blob:
    writer = store.writer(checksums)
    for start in range(0, len(content), MIB):
        writer.write(content[start : start + MIB])
    return writer.commit()


def put(store: ObjectStore, key: str, content: bytes = b"light", **more: object) -> Object:
    return store.put(BUCKET, key, write(store, content), **more)  # type: ignore[arg-type]


def content_of(store: ObjectStore, key: str) -> bytes:
    return b"".join(store.read(store.get(BUCKET, key)))


def put_part(store: ObjectStore, upload: Upload, number: int, content: bytes) -> tuple[int, str]:
    writer = store.part_writer(upload, number, len(content))
    writer.write(content)
    return number, store.put_part(upload, number, writer.commit()).etag


def keys(store: ObjectStore, **query: object) -> list[str]:
    return [item.key for item in store.list(BUCKET, **query).objects]  # type: ignore[arg-type]


class ObjectStoreContract:
    @pytest.fixture
    def store(self) -> Iterator[ObjectStore]:
        raise NotImplementedError("give the store under test")

    @pytest.fixture(autouse=True)
    def bucket(self, store: ObjectStore) -> Iterator[None]:
        store.create_bucket(BUCKET)
        yield
        for upload in store.uploads(BUCKET):
            store.abort_upload(upload)
        for item in store.list(BUCKET).objects:
            store.delete(BUCKET, item.key)
        store.delete_bucket(BUCKET)

    # Buckets

    def test_buckets_are_listed_by_name(self, store: ObjectStore) -> None:
        store.create_bucket("albums")
        try:
            names = [bucket.name for bucket in store.buckets()]
            assert [name for name in names if name in ("albums", BUCKET)] == ["albums", BUCKET]
            assert store.bucket("albums").created.tzinfo is not None
        finally:
            store.delete_bucket("albums")

    def test_a_missing_bucket_is_not_found(self, store: ObjectStore) -> None:
        for call in (store.bucket, store.list, store.delete_bucket, store.uploads):
            with pytest.raises(NotFound) as caught:
                call("no-such-bucket-here")
            assert caught.value.kind == "bucket"

    def test_putting_into_a_missing_bucket_is_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(NotFound) as caught:
            store.put("no-such-bucket-here", "k", write(store, b"x"))
        assert caught.value.kind == "bucket"

    def test_a_bucket_with_objects_is_not_deleted(self, store: ObjectStore) -> None:
        put(store, "k")
        with pytest.raises(Conflict) as caught:
            store.delete_bucket(BUCKET)
        assert caught.value.kind == "bucket"
        assert content_of(store, "k") == b"light"

    def test_documents_are_kept_replaced_and_removed(self, store: ObjectStore) -> None:
        assert store.document(BUCKET, "tagging") is None
        store.set_document(BUCKET, "tagging", '{"team": "birds"}')
        store.set_document(BUCKET, "tagging", '{"team": "cats"}')
        assert store.document(BUCKET, "tagging") == '{"team": "cats"}'
        store.set_document(BUCKET, "tagging", None)
        assert store.document(BUCKET, "tagging") is None

    # Objects

    def test_an_object_comes_back_whole(self, store: ObjectStore) -> None:
        content = bytes(range(256)) * 9000
        put(store, "k", content, head=HEAD)
        item = store.get(BUCKET, "k")
        assert (item.size, item.etag) == (len(content), hashlib.md5(content).hexdigest())
        assert {name: item.head[name] for name in HEAD} == HEAD
        assert b"".join(store.read(item)) == content
        assert b"".join(store.read(item, 255, 258)) == b"\xff\x00\x01"

    def test_an_empty_object_comes_back(self, store: ObjectStore) -> None:
        assert put(store, "empty", b"").size == 0
        assert content_of(store, "empty") == b""

    def test_checksums_are_computed_while_writing(self, store: ObjectStore) -> None:
        blob = write(store, b"123456789", ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"))
        store.discard(blob)
        assert {name: value.hex() for name, value in blob.checksums.items()} == {
            "CRC32": "cbf43926",
            "CRC32C": "e3069283",
            "CRC64NVME": "ae8b14860a799888",
            "SHA1": hashlib.sha1(b"123456789").hexdigest(),
            "SHA256": hashlib.sha256(b"123456789").hexdigest(),
        }

    def test_an_aborted_write_is_no_object(self, store: ObjectStore) -> None:
        writer = store.writer()
        writer.write(b"half")
        writer.abort()
        assert keys(store) == []

    def test_a_missing_key_is_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(NotFound) as caught:
            store.get(BUCKET, "nope")
        assert (caught.value.kind, caught.value.name) == ("key", "nope")

    def test_keys_may_be_any_text(self, store: ObjectStore) -> None:
        for key in ODD_KEYS:
            put(store, key, key.encode())
        assert {key: content_of(store, key) for key in ODD_KEYS} == {key: key.encode() for key in ODD_KEYS}
        assert keys(store) == sorted(ODD_KEYS, key=str.encode)

    def test_a_key_may_be_the_prefix_of_another(self, store: ObjectStore) -> None:
        put(store, "both", b"file")
        put(store, "both/child", b"child")
        put(store, "both/", b"marker")
        assert [content_of(store, key) for key in ("both", "both/child", "both/")] == [b"file", b"child", b"marker"]

    @pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513])
    def test_a_key_of_wrong_length_is_refused(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(Invalid):
            put(store, key)

    def test_overwriting_leaves_what_was_opened(self, store: ObjectStore) -> None:
        put(store, "k", b"old" * MIB)
        reading = store.read(store.get(BUCKET, "k"))
        first = next(reading)
        put(store, "k", b"new")
        assert first + b"".join(reading) == b"old" * MIB
        assert content_of(store, "k") == b"new"

    def test_deleting_is_final_and_may_be_repeated(self, store: ObjectStore) -> None:
        put(store, "k")
        store.delete(BUCKET, "k")
        store.delete(BUCKET, "k")
        with pytest.raises(NotFound):
            store.get(BUCKET, "k")

    def test_put_if_absent_never_overwrites(self, store: ObjectStore) -> None:
        put(store, "k", b"first", condition=Condition(absent=True))
        with pytest.raises(PreconditionFailed):
            put(store, "k", b"second", condition=Condition(absent=True))
        assert content_of(store, "k") == b"first"

    def test_put_if_match_overwrites_only_what_was_read(self, store: ObjectStore) -> None:
        etag = put(store, "k", b"first").etag
        put(store, "k", b"second", condition=Condition(etag=etag))
        with pytest.raises(PreconditionFailed):
            put(store, "k", b"third", condition=Condition(etag=etag))
        with pytest.raises(NotFound):
            put(store, "nope", b"x", condition=Condition(etag=etag))
        assert content_of(store, "k") == b"second"

    def test_one_of_many_writers_is_first(self, store: ObjectStore) -> None:
        won: list[int] = []

        def race(number: int) -> None:
            try:
                put(store, "lock", str(number).encode(), condition=Condition(absent=True))
                won.append(number)
            except PreconditionFailed:
                pass

        threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(number).encode() for number in won] == [content_of(store, "lock")]

    def test_a_copy_lives_on_its_own(self, store: ObjectStore) -> None:
        source = put(store, "k", b"shared", head=HEAD)
        copied = store.copy(source, BUCKET, "copy", {"ContentType": "text/plain"}, {"kind": "copy"})
        store.delete(BUCKET, "k")
        assert (copied.size, copied.etag) == (source.size, source.etag)
        assert content_of(store, "copy") == b"shared"
        assert store.get(BUCKET, "copy").head["ContentType"] == "text/plain"
        assert store.tags(BUCKET, "copy") == {"kind": "copy"}

    def test_a_file_is_taken_in(self, store: ObjectStore, tmp_path: Path) -> None:
        path = tmp_path / "model.tar.gz"
        path.write_bytes(b"weights" * 1000)
        item = store.put_file(BUCKET, "model.tar.gz", path, {"ContentType": "application/x-tar"})
        path.unlink()
        assert item.etag == hashlib.md5(b"weights" * 1000).hexdigest()
        assert content_of(store, "model.tar.gz") == b"weights" * 1000

    def test_a_path_holds_the_content(self, store: ObjectStore) -> None:
        path = store.path(put(store, "k", b"content"))
        assert path is None or path.read_bytes() == b"content"

    def test_tags_are_set_counted_and_read(self, store: ObjectStore) -> None:
        put(store, "k", tags={"breed": "Maine Coon"})
        assert store.tags(BUCKET, "k") == {"breed": "Maine Coon"}
        assert store.get(BUCKET, "k").tag_count == 1
        store.set_tags(BUCKET, "k", {"a": "1", "b": "2"})
        assert store.tags(BUCKET, "k") == {"a": "1", "b": "2"}
        store.set_tags(BUCKET, "k", {})
        assert store.tags(BUCKET, "k") == {}
        with pytest.raises(NotFound):
            store.set_tags(BUCKET, "nope", {})

    # Listing

    def test_a_listing_is_in_byte_order_and_paged(self, store: ObjectStore) -> None:
        for key in ("b", "a", "é", "z", "a/b", "\uffff", "𝄞"):
            put(store, key)
        everything = ["a", "a/b", "b", "z", "é", "\uffff", "𝄞"]
        assert keys(store) == everything
        seen, after = [], ""
        while after is not None:
            page = store.list(BUCKET, after=after, limit=2)
            seen += [item.key for item in page.objects]
            after = page.next
        assert seen == everything

    def test_a_delimiter_rolls_up_prefixes(self, store: ObjectStore) -> None:
        for key in ("p/1", "p/2", "p/q/3", "p/q/4", "p/r/5", "q/6"):
            put(store, key)
        page = store.list(BUCKET, prefix="p/", delimiter="/")
        assert ([item.key for item in page.objects], list(page.prefixes)) == (["p/1", "p/2"], ["p/q/", "p/r/"])
        assert page.next is None
        seen, after = [], ""
        while after is not None:
            page = store.list(BUCKET, prefix="p/", delimiter="/", after=after, limit=1)
            seen += [item.key for item in page.objects] + list(page.prefixes)
            after = page.next
        assert seen == ["p/1", "p/2", "p/q/", "p/r/"]

    def test_a_page_that_ends_with_the_listing_has_no_next(self, store: ObjectStore) -> None:
        put(store, "a")
        put(store, "b")
        assert store.list(BUCKET, limit=2).next is None
        assert store.list(BUCKET, limit=1).next == "a"

    # Uploads

    def test_parts_are_joined_in_order_whatever_order_they_came_in(self, store: ObjectStore) -> None:
        contents = {1: b"a" * 5 * MIB, 2: b"b" * 5 * MIB, 3: b"the end"}
        upload = store.create_upload(BUCKET, "big", HEAD, {"kind": "big"})
        done = dict(put_part(store, upload, number, contents[number]) for number in (2, 3, 1))
        item = store.complete_upload(upload, sorted(done.items()))
        md5s = b"".join(hashlib.md5(contents[number]).digest() for number in (1, 2, 3))
        assert item.etag == hashlib.md5(md5s).hexdigest() + "-3"
        assert content_of(store, "big") == contents[1] + contents[2] + contents[3]
        assert store.get(BUCKET, "big").head["Metadata"] == HEAD["Metadata"]
        assert store.tags(BUCKET, "big") == {"kind": "big"}
        assert list(store.uploads(BUCKET)) == []

    def test_parts_of_unlike_sizes_are_joined(self, store: ObjectStore) -> None:
        contents = [b"a" * 7 * MIB, b"b" * (5 * MIB + 1), b"c" * 9 * MIB, b""]
        upload = store.create_upload(BUCKET, "big")
        done = [put_part(store, upload, number, content) for number, content in enumerate(contents, 1)]
        assert store.complete_upload(upload, done).size == sum(map(len, contents))
        assert content_of(store, "big") == b"".join(contents)

    def test_a_part_may_be_sent_again(self, store: ObjectStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        put_part(store, upload, 1, b"wrong" * MIB)
        second = put_part(store, upload, 2, b"tail")
        first = put_part(store, upload, 1, b"right" * MIB)
        assert [(part.number, part.size) for part in store.parts(upload)] == [(1, 5 * MIB), (2, 4)]
        store.complete_upload(upload, [first, second])
        assert content_of(store, "big") == b"right" * MIB + b"tail"

    def test_parts_may_be_left_out(self, store: ObjectStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        done = [put_part(store, upload, number, bytes([number]) * 5 * MIB) for number in (1, 2, 3)]
        store.complete_upload(upload, [done[0], done[2]])
        assert content_of(store, "big") == b"\x01" * 5 * MIB + b"\x03" * 5 * MIB

    def test_small_parts_are_refused_and_the_upload_stays(self, store: ObjectStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        done = [put_part(store, upload, 1, b"small"), put_part(store, upload, 2, b"end")]
        with pytest.raises(Conflict) as caught:
            store.complete_upload(upload, done)
        assert caught.value.kind == "part"
        first = put_part(store, upload, 1, b"a" * 5 * MIB)
        store.complete_upload(upload, [first, done[1]])
        assert content_of(store, "big") == b"a" * 5 * MIB + b"end"

    def test_unknown_and_changed_parts_are_refused(self, store: ObjectStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        number, etag = put_part(store, upload, 1, b"part")
        for wrong in [(2, etag)], [(number, "0" * 32)]:
            with pytest.raises(NotFound) as caught:
                store.complete_upload(upload, wrong)
            assert caught.value.kind == "part"

    def test_completing_again_gives_the_same_object(self, store: ObjectStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        part = put_part(store, upload, 1, b"part")
        assert store.complete_upload(upload, [part]).etag == store.complete_upload(upload, [part]).etag
        assert content_of(store, "big") == b"part"

    def test_an_aborted_upload_is_gone(self, store: ObjectStore) -> None:
        upload = store.create_upload(BUCKET, "big")
        part = put_part(store, upload, 1, b"part")
        store.abort_upload(upload)
        for call in (
            lambda: put_part(store, upload, 2, b"late"),
            lambda: store.complete_upload(upload, [part]),
            lambda: store.abort_upload(upload),
        ):
            with pytest.raises(NotFound) as caught:
                call()
            assert caught.value.kind == "upload"
        assert keys(store) == []

    def test_uploads_under_way_are_listed(self, store: ObjectStore) -> None:
        first, second = store.create_upload(BUCKET, "p/1"), store.create_upload(BUCKET, "q/2")
        assert [upload.id for upload in store.uploads(BUCKET)] == [first.id, second.id]
        assert [upload.id for upload in store.uploads(BUCKET, "q/")] == [second.id]
        assert store.upload(BUCKET, "p/1", first.id).id == first.id
        with pytest.raises(NotFound):
            store.upload(BUCKET, "p/1", second.id + "x")
