"""Bytes on disk are those that MXNet 1.9.1 wrote for the same payloads; no bytes at all may hurt the reader."""

import contextlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.formats.recordio import (
    MAX_LENGTH,
    ImageHeader,
    RecordError,
    RecordFile,
    pack_image,
    records,
    scan,
    unpack_image,
)
from darkroom.formats.writing import RecordWriter

MAGIC = bytes.fromhex("0a23d7ce")
# payload -> the file MXNet writes for it
WRITTEN = {
    b"": "0a23d7ce 00000000",
    b"abc": "0a23d7ce 03000000 61626300",
    b"ABCD" + MAGIC + b"EFG": "0a23d7ce 04000020 41424344 0a23d7ce 03000060 45464700",
    MAGIC + b"xy": "0a23d7ce 00000020 0a23d7ce 02000060 78790000",
    MAGIC + MAGIC: "0a23d7ce 00000020 0a23d7ce 00000040 0a23d7ce 00000060",
    b"abcd" + MAGIC: "0a23d7ce 04000020 61626364 0a23d7ce 00000060",
    b"a" + MAGIC: "0a23d7ce 05000000 610a23d7 ce000000",
}
payloads = st.lists(st.one_of(st.binary(max_size=6), st.just(MAGIC)), max_size=8).map(b"".join)


def write(path, contents):
    with RecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    return path


@pytest.mark.parametrize("payload", WRITTEN)
def test_frames_are_mxnets(tmp_path, payload):
    path = write(tmp_path / "a.rec", [payload])
    assert path.read_bytes() == bytes.fromhex(WRITTEN[payload])
    assert [bytes(record) for record in records(path)] == [payload]


@settings(deadline=None)
@given(contents=st.lists(payloads, max_size=6))
def test_whatever_is_written_is_read_again(tmp_path_factory, contents):
    path = write(tmp_path_factory.mktemp("rec") / "a.rec", contents)
    assert [bytes(record) for record in records(path)] == contents
    file = RecordFile(path)
    assert [bytes(file[position]) for position in range(len(file))] == contents
    assert file.offsets.tolist() == [
        int(line.split("\t")[1]) for line in path.with_suffix(".idx").read_text().splitlines()
    ]


def test_files_may_be_concatenated(tmp_path):
    first, second = (write(tmp_path / name, [name.encode(), MAGIC]) for name in ("a.rec", "b.rec"))
    both = first.read_bytes() + second.read_bytes()
    assert [bytes(record) for record in records(both)] == [b"a.rec", MAGIC, b"b.rec", MAGIC]
    assert scan(both).tolist() == [0, 16, 32, 48]


def test_the_index_has_the_keys_and_offsets(tmp_path):
    with RecordWriter(tmp_path / "a.rec") as writer:
        assert [writer.write(b"12345", key=7), writer.write(b"", key=3), writer.write(b"x")] == [0, 16, 24]
    assert (tmp_path / "a.idx").read_text() == "7\t0\n3\t16\n2\t24\n"


def test_a_failed_writer_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "a.rec", [b"old"])
    with contextlib.suppress(KeyboardInterrupt), RecordWriter(path) as writer:
        writer.write(b"new")
        raise KeyboardInterrupt
    assert [bytes(record) for record in records(path)] == [b"old"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.idx", "a.rec"]


def test_a_record_of_half_a_gibibyte_is_refused_before_it_is_written(tmp_path):
    class Long(bytes):
        def __len__(self):
            return MAX_LENGTH + 1

    with RecordWriter(tmp_path / "a.rec") as writer, pytest.raises(ValueError, match="less than 512 MiB"):
        writer.write(Long())


def test_whole_records_are_views_and_outlive_the_file(tmp_path):
    path = write(tmp_path / "a.rec", [b"pixels"])
    with RecordFile(path) as file:
        view = file[0]
    assert view.readonly
    assert view == b"pixels"
    assert len(file) == 0


def test_empty_files_have_no_records(tmp_path):
    path = tmp_path / "empty.rec"
    path.touch()
    assert list(records(path)) == []
    assert len(RecordFile(path)) == 0


def test_threads_share_a_file(tmp_path):
    contents = [bytes([number]) * number + MAGIC for number in range(64)]
    file = RecordFile(write(tmp_path / "a.rec", contents))
    seen = [list[bytes]() for _ in range(4)]
    workers = [
        threading.Thread(target=lambda mine=mine: mine.extend(bytes(file[i]) for i in range(64))) for mine in seen
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(mine == contents for mine in seen)


@pytest.mark.parametrize(
    ("data", "offset", "reason"),
    [
        (b"\xff\xd8\xff\xe0JFIF", 0, "expected the RecordIO magic ced7230a, found e0ffd8ff; is this a .rec file"),
        (MAGIC + bytes(4) + MAGIC[:3], 8, "ends inside a record header"),
        (MAGIC + (9).to_bytes(4, "little") + b"short", 0, "announces 9 bytes but the file ends after 5"),
        (MAGIC + (3).to_bytes(4, "little") + b"abc", 0, "announces 3 bytes but the file ends after 3"),
        (bytes.fromhex("0a23d7ce 00000040"), 0, "begins with the later part of a split one"),
        (bytes.fromhex("0a23d7ce 00000020"), 0, "ends before the last part of a split record"),
        (bytes.fromhex("0a23d7ce 00000020 0a23d7ce 00000000"), 8, "begins before the split one is complete"),
        (bytes.fromhex("0a23d7ce 000000e0"), 0, "unknown flag 7"),
    ],
)
def test_broken_framing_is_named_with_its_place(tmp_path, data, offset, reason):
    path = tmp_path / "broken.rec"
    path.write_bytes(data)
    for read in (RecordFile, scan, lambda source: list(records(source))):
        with pytest.raises(RecordError, match=reason) as caught:
            read(path)
        assert (caught.value.file, caught.value.offset) == (str(path), offset)
        assert str(caught.value).startswith(f"{path}, byte {offset}: ")


fragments = st.one_of(st.binary(max_size=9), st.just(MAGIC), st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4)))


@settings(max_examples=500)
@given(data=st.lists(fragments, max_size=12).map(b"".join))
def test_no_bytes_hurt(data):
    try:
        contents = [bytes(record) for record in records(data)]
        assert len(scan(data)) == len(contents)
    except RecordError:
        with pytest.raises(RecordError):
            scan(data)
        return
    assert sum(map(len, contents)) <= len(data)
    for content in contents:
        try:
            header, image = unpack_image(content)
            assert 24 + 4 * (header.label.size > 1) * header.label.size + len(image) <= len(content)
        except RecordError:
            continue


def test_one_label_stands_in_the_header_and_several_follow_it():
    one = pack_image(ImageHeader(np.array([2.0]), 5), b"jpeg")
    assert one.hex(" ", 4) == "00000000 00000040 05000000 00000000 00000000 00000000 6a706567"
    three = pack_image(ImageHeader(np.array([1.0, 0.0, 1.0]), 6, 7), b"jpeg")
    assert three.hex(" ", 4) == (
        "03000000 00000000 06000000 00000000 07000000 00000000 0000803f 00000000 0000803f 6a706567"
    )
    for packed, labels, identity in ((one, [2.0], 5), (three, [1.0, 0.0, 1.0], 6)):
        header, image = unpack_image(packed)
        assert (header.label.tolist(), header.label.dtype, header.id, image) == (labels, np.float32, identity, b"jpeg")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"text", "has 4 bytes, an image record at least 24"), (b"\xff" * 30, "announces 4294967295 labels")],
)
def test_other_records_are_told_from_images(tmp_path, payload, reason):
    path = write(tmp_path / "a.rec", [b"12345678", payload])
    with pytest.raises(RecordError, match=reason) as caught:
        RecordFile(path).image(1)
    assert caught.value.offset == 16


@pytest.mark.parametrize(
    "header", [ImageHeader(np.zeros(0), 0), ImageHeader(np.zeros(1), -1), ImageHeader(np.zeros(1), 2**64)]
)
def test_headers_that_do_not_fit_are_refused(header):
    with pytest.raises(ValueError, match=r"at least one label|between 0 and 2\*\*64"):
        pack_image(header, b"")
