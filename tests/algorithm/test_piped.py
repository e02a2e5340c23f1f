"""Channels in Pipe mode: real named pipes, fed while they are read; what comes through is what File mode would read."""

import contextlib
import io
import logging
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.algorithm.channels import open_channels
from darkroom.algorithm.failures import CustomerError
from darkroom.contract import exits
from darkroom.contract.layout import Layout
from darkroom.formats.recordio import RecordError, records, stream
from darkroom.formats.writing import RecordWriter
from tests.algorithm.jobs import jpeg

PIPE = {"TrainingInputMode": "Pipe", "ContentType": "application/x-recordio"}
MANIFEST = PIPE | {"RecordWrapperType": "RecordIO"}
LOG = logging.getLogger("nobody")


def feed(job, channel, content):
    """A named pipe that gives ``content`` to whoever opens it."""
    path = job.base / "input" / "data" / f"{channel}_0"
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)

    def write():
        pipe = os.open(path, os.O_WRONLY)
        left = memoryview(content)
        with contextlib.suppress(BrokenPipeError):  # who found a fault reads no further
            while left:
                left = left[os.write(pipe, left) :]
        os.close(pipe)

    threading.Thread(target=write, daemon=True).start()


def wrapped(tmp_path, *payloads):
    with RecordWriter(tmp_path / "wrapped.rec") as writer:
        for payload in payloads:
            writer.write(payload)
    return (tmp_path / "wrapped.rec").read_bytes()


def rec(job, tmp_path, labels):
    job.records("elsewhere", labels)
    return (job.channel("elsewhere") / "elsewhere.rec").read_bytes()


def opened(job, **options):
    return open_channels(Layout(job.base), LOG, **options).train


def test_records_through_a_pipe_are_those_of_the_file(job, tmp_path):
    content = rec(job, tmp_path, [2, 0, 1])
    job.config("inputdataconfig", {"train": PIPE})
    feed(job, "train", content + content)  # two objects of the prefix, one after the other
    samples = opened(job)
    assert np.concatenate(samples.labels).tolist() == [2, 0, 1, 2, 0, 1]
    assert bytes(samples.read(4)) == jpeg(0, 1)


@pytest.mark.parametrize("texts", [[b"2", b"0"], [b'"2"', b'"0"'], [b"[2]", b"[0]"]])
def test_a_manifest_of_class_ids(job, tmp_path, texts):
    job.config("inputdataconfig", {"train": MANIFEST})
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), texts[0], jpeg(0, 1), texts[1]))
    samples = opened(job)
    assert np.concatenate(samples.labels).tolist() == [2, 0]
    assert [bytes(samples.read(k)) for k in range(2)] == [jpeg(2, 0), jpeg(0, 1)]


@pytest.mark.parametrize(
    ("parameter", "texts"),
    [
        ("", [b"[1, 0, 1]", b'"[0, 0, 0]"']),
        ("; label-format=multi-hot", [b"[1, 0, 1]", b"[0,0,0]"]),
        ("; label-format=class-id", [b"[0, 2]", b"[]"]),
    ],
)
def test_a_manifest_of_several_labels(job, tmp_path, parameter, texts):
    job.config("inputdataconfig", {"train": MANIFEST | {"ContentType": f"application/x-recordio{parameter}"}})
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), texts[0], jpeg(0, 1), texts[1]))
    samples = opened(job, classes=3, multi_label=True)
    assert [label.tolist() for label in samples.labels] == [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("payloads", "words"),
    [
        ([jpeg(0, 0), b"cat"], "The label 'cat' in line 1 of the train channel's augmented manifest is neither"),
        ([jpeg(0, 0), b"cat"], "Classes are numbered from 0"),
        ([b"0", jpeg(0, 0)], "AttributeNames must be two, image first"),
        ([jpeg(0, 0), b"0", jpeg(0, 1)], "ends after the image of line 2 of the augmented manifest, without its label"),
        ([jpeg(0, 0), b"[0, 5]"], "The class id 5 in line 1 of the train channel's augmented manifest is not one of"),
        ([jpeg(0, 0), b"[" * 9000], "in line 1 of the train channel's augmented manifest is neither"),
    ],
)
def test_faults_of_a_manifest_name_the_line(job, tmp_path, payloads, words):
    job.config("inputdataconfig", {"train": MANIFEST | {"ContentType": "application/x-recordio;label-format=class-id"}})
    feed(job, "train", wrapped(tmp_path, *payloads))
    with pytest.raises(CustomerError) as fault:
        opened(job, classes=3, multi_label=True)
    assert words in str(fault.value)


@pytest.mark.parametrize(
    ("payloads", "words"),
    [
        ([], "nothing came through its pipe"),
        ([b"1", jpeg(0, 0)], "Record 0 of the train channel, b'1', is neither an image nor a record that im2rec makes"),
    ],
)
def test_what_is_neither_is_said(job, tmp_path, payloads, words):
    job.config("inputdataconfig", {"train": PIPE})
    feed(job, "train", wrapped(tmp_path, *payloads))
    with pytest.raises(CustomerError) as fault:
        opened(job)
    assert words in str(fault.value)


def test_images_of_a_manifest_are_called_by_their_line(job, tmp_path):
    job.config("inputdataconfig", {"train": MANIFEST})
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), b"0", jpeg(0, 1), b"7"))
    assert opened(job).name(1) == "the image of line 2 of the augmented manifest"


def test_a_label_that_no_float_holds_is_infinite(job, tmp_path):
    job.config("inputdataconfig", {"train": MANIFEST})
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), b"1e40"))
    assert opened(job).labels[0].tolist() == [float("inf")]  # and numpy warned of nothing, which would be an error here


def test_lines_are_those_that_the_platform_names(job, tmp_path):
    """With ShuffleConfig, shards and blank lines the images come in another order than the manifest's lines."""
    job.config("inputdataconfig", {"train": MANIFEST})
    Layout(job.base).manifest_lines("train").write_text("[7, 2, 31]")
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), b"0", jpeg(0, 1), b"1", jpeg(1, 2), b"2"))
    samples = opened(job)
    assert [samples.name(k).split()[4] for k in range(3)] == ["7", "2", "31"]
    (job.base / "input" / "data" / "train_0").unlink()
    feed(job, "train", wrapped(tmp_path, jpeg(2, 0), b"0", jpeg(0, 1), b"cat"))
    with pytest.raises(CustomerError, match="'cat' in line 2 of"):
        opened(job)


@pytest.mark.parametrize("broken", [b"", b"%PDF-1.4", bytes(100), b"no picture at all"])
def test_a_first_image_that_is_none_is_an_image_all_the_same(job, tmp_path, broken):
    """Who says RecordWrapperType gives a manifest: what is unreadable is found with the others, later."""
    job.config("inputdataconfig", {"train": MANIFEST})
    feed(job, "train", wrapped(tmp_path, broken, b"0", jpeg(0, 1), b"1"))
    samples = opened(job)
    assert (len(samples), bytes(samples.read(0)), samples.labels[1].tolist()) == (2, broken, [1.0])


def test_what_is_no_recordio_is_said(job):
    job.config("inputdataconfig", {"train": PIPE})
    feed(job, "train", jpeg(0, 0))
    with pytest.raises(CustomerError, match=r"Unable to parse record: train channel \(Pipe mode\), byte 0: expected"):
        opened(job)


def test_a_missing_pipe_is_said(job):
    job.config("inputdataconfig", {"train": PIPE})
    with pytest.raises(CustomerError, match="there is no pipe"):
        opened(job)


def test_lists_want_file_mode(job):
    job.listed("train", ["a.jpg"], [(0,)]).config("inputdataconfig", {"train": PIPE, "train_lst": {}})
    with pytest.raises(CustomerError, match="in File mode only"):
        opened(job)


def test_a_job_trains_from_pipes(job, run, tmp_path):
    job.settings(augmentation_type="crop_color")
    content = rec(job, tmp_path, [k % 3 for k in range(48)])
    job.config("inputdataconfig", {"train": PIPE, "validation": PIPE})
    feed(job, "train", content)
    feed(job, "validation", content)
    code, messages = run()
    assert code == exits.OK
    assert any("Validation-accuracy" in message for message in messages)


payloads = st.lists(st.binary(max_size=40) | st.just(bytes.fromhex("0a23d7ce") * 2), max_size=6)


@settings(deadline=None)
@given(contents=payloads)
def test_a_stream_gives_what_the_file_gives(tmp_path_factory, contents):
    path = tmp_path_factory.mktemp("stream") / "a.rec"
    with RecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    assert list(stream(io.BytesIO(path.read_bytes()), "a")) == contents


def readable(read):
    try:
        return [bytes(record) for record in read()]
    except RecordError:
        return "broken"


@settings(deadline=None, max_examples=300)
@given(contents=payloads, place=st.integers(0, 200), value=st.integers(0, 255), length=st.integers(0, 300))
def test_a_broken_stream_is_broken_where_the_file_is(tmp_path_factory, contents, place, value, length):
    path = tmp_path_factory.getbasetemp() / "broken.rec"
    with RecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    data = bytearray(path.read_bytes()[:length])
    if place < len(data):
        data[place] = value
    assert readable(lambda: stream(io.BytesIO(data), "a")) == readable(lambda: records(bytes(data)))
