"""Bytes that announce more than they bring: no parser takes memory for what is not there, or time without end."""

import io
import json
import random
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.formats import manifests, params, recordio
from darkroom.formats.lst import LstError, LstLine, read_lst, write_lst
from darkroom.formats.recordio import ImageHeader, RecordError, RecordFile, pack_image, unpack_image
from darkroom.formats.writing import RecordWriter

MAGIC = bytes.fromhex("0a23d7ce")
REFUSED = (RecordError, params.ParamsError, LstError, manifests.ManifestError)
LARGEST = recordio.MAX_LENGTH  # bytes


def frame(flag: int, length: int) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | length)


def through_a_pipe(data: bytes) -> list[int]:
    return [len(payload) for payload in recordio.stream(io.BytesIO(data), "pipe")]


def an_image(labels: int) -> bytes:
    return struct.pack("<IfQQ", labels, 0.0, 1, 0) + bytes(16)


def array_of(*shape: int, code: int = 0) -> bytes:
    head = struct.pack(f"<Iii{len(shape)}q", params.V2, 0, len(shape), *shape)
    return struct.pack("<QQQ", params.FILE_MAGIC, 0, 1) + head + struct.pack("<iii", 1, 0, code)


HOSTILE: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "a record of half a gibibyte": (recordio.scan, frame(0, LARGEST) + bytes(8)),
    "the same through a pipe": (through_a_pipe, frame(0, LARGEST) + bytes(8)),
    "parts without end": (recordio.scan, frame(1, 0) + frame(2, 0) * 20_000),
    "the same through a pipe, without its last part": (through_a_pipe, frame(1, 0) + frame(2, 0) * 2_000),
    "2^28 labels": (unpack_image, an_image(1 << 28)),
    "2^32 - 1 labels": (unpack_image, an_image((1 << 32) - 1)),
    "an array of a terabyte": (params.loads, array_of(1 << 38)),
    "an array of more bytes than 64 bits count": (params.loads, array_of(*[1 << 40] * 8)),
    "many arrays": (params.loads, struct.pack("<QQQ", params.FILE_MAGIC, 0, params.MAX_ARRAYS) + bytes(64)),
    "more arrays than there are atoms": (params.loads, struct.pack("<QQQ", params.FILE_MAGIC, 0, (1 << 64) - 1)),
    "a name of an exbibyte": (params.loads, array_of(1) + bytes(4) + struct.pack("<QQ", 1, 1 << 60)),
    "brackets without end": (manifests.parse_manifest, b"[" * 200_000),
    "a number without end": (lambda data: manifests.parse_line(data, ["a"]), b'{"a": ' + b"9" * 200_000 + b"}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_announced_takes_no_memory(name):
    parse, data = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(REFUSED):
            parse(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000 + 8 * len(data)


def test_a_split_record_longer_than_recordio_holds_is_refused(monkeypatch):
    monkeypatch.setattr(recordio, "_LONGEST", 100)
    part = b"x" * 60
    data = frame(1, 60) + part + frame(3, 60) + part
    with pytest.raises(RecordError, match="longer than 512 MiB"):
        through_a_pipe(data)


@settings(max_examples=200)
@given(
    labels=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=300),
    ids=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    image=st.binary(max_size=40),
)
def test_any_header_comes_back(labels, ids, image):
    header, data = unpack_image(pack_image(ImageHeader(np.array(labels, np.float32), *ids), image))
    assert (header.label.tolist(), header.id, header.id2, bytes(data)) == (labels, *ids, image)


@settings(max_examples=300)
@given(flag=st.integers(0, 2**32 - 1), rest=st.binary(max_size=200))
def test_any_header_is_read_or_refused(flag, rest):
    payload = struct.pack("<I", flag) + rest
    try:
        header, image = unpack_image(payload)
    except RecordError:
        assert len(payload) < 24 + 4 * flag
        return
    assert header.label.size == max(flag, 1)
    assert len(image) == len(payload) - 24 - 4 * flag


paths = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(
        st.builds(
            LstLine,
            index=st.integers(0, 2**64 - 1),
            labels=st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=5).map(tuple),
            path=paths,
        ),
        max_size=5,
    )
)
def test_any_list_comes_back(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "any.lst"
    write_lst(path, lines)
    assert list(read_lst(path)) == lines


@settings(max_examples=200)
@given(names=st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=1, max_size=5))
def test_any_manifest_comes_back(names):
    text = json.dumps([{"prefix": "s3://bucket/a/"}, *names])
    assert manifests.parse_manifest(text) == manifests.Manifest("bucket", "a/", tuple(names))


def test_a_damaged_file_of_records_is_read_or_refused(tmp_path):
    path, whole = tmp_path / "a.rec", tmp_path / "whole.rec"
    with RecordWriter(whole) as writer:
        for k in range(20):
            writer.write(pack_image(ImageHeader(np.arange(1 + k % 3, dtype="f4"), k), MAGIC * (k % 4) + bytes(k)))
    draws, good = random.Random(3), whole.read_bytes()
    for _ in range(300):
        data = bytearray(good)
        for _ in range(draws.randint(1, 4)):
            data[draws.randrange(len(data))] = draws.randrange(256)
        path.write_bytes(data[: draws.randint(1, len(data))])
        try:
            file = RecordFile(path)
            for k in range(len(file)):
                file.image(k)
        except RecordError:
            continue
