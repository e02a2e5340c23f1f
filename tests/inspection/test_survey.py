"""Whatever bytes lie in a dataset, all of it is looked at and told; nothing depends on the number of threads."""

import tracemalloc
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.inspection import findings, summaries, twins
from darkroom.inspection.datasets import MAX_BYTES, DatasetError
from darkroom.inspection.opening import open_all
from darkroom.inspection.page import Sheet, contact_sheet, histogram
from darkroom.inspection.survey import survey
from tests.imaging.pictures import file_of, scene
from tests.inspection.sets import folders, photo, record_file
from tests.pages.parsed import assert_harmless

STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"II*\0",
    b"RIFF____WEBPVP8X",
    b"BM",
    b"\0\0\0\x18ftypavif",
]
JUNK = st.builds(bytes.__add__, st.sampled_from(STARTS), st.binary(max_size=60))
LABELS = st.one_of(st.integers(-2, 4), st.floats(width=32))


def told(path: Path, decode: bool) -> str:
    """Everything that the command says of it, as its page."""
    surveys = [survey(dataset, decode, 2, lambda done: None) for dataset in open_all(path)]
    figures = [summaries.summary(one) for one in surveys]
    odd = findings.oddities(surveys, twins.exact(surveys), twins.near(surveys), 3)
    sheet = Sheet(surveys, figures, odd, summaries.suggestion(figures[0]), "", {})
    return contact_sheet("x", sheet)


@given(st.lists(st.tuples(JUNK, LABELS), min_size=1, max_size=6), st.booleans())
def test_any_bytes_under_any_label(records, decode):
    with TemporaryDirectory() as folder:
        path = record_file(
            Path(folder, "x.rec"), [label for _, label in records], [data or b"x" for data, _ in records]
        )
        assert_harmless(told(path, decode))


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=8), st.booleans())
def test_any_damage_to_a_record_file(at, junk, decode):
    with TemporaryDirectory() as folder:
        path = record_file(Path(folder, "x.rec"), [0, 1, 2], [photo(k, 16, 16) for k in range(3)])
        data = bytearray(path.read_bytes())
        at %= len(data)
        data[at : at + len(junk)] = junk
        path.write_bytes(data)
        with suppress(DatasetError):  # nothing of it could be read
            assert_harmless(told(path, decode))


def test_threads_change_nothing(tmp_path: Path):
    (dataset,) = open_all(folders(tmp_path / "photos", a=30, b=20))
    (tmp_path / "photos" / "a" / "3.jpg").write_bytes(b"")
    steps = []
    one, four = survey(dataset, True, 1, lambda done: None), survey(dataset, True, 4, steps.append)
    assert one.looks.tobytes() == four.looks.tobytes()
    assert one.faults == four.faults != {}
    assert sum(steps) == 50


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path):
    root = folders(tmp_path / "photos", a=1, b=1)
    with open(root / "a" / "huge.jpg", "wb") as file:
        file.truncate(MAX_BYTES + 1)  # no byte of it is on the disk
    (dataset,) = open_all(root)
    tracemalloc.start()
    try:
        looked_at = survey(dataset, True, 1, lambda done: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(looked_at.faults.values()) == ["256 MiB are too many for a photo; at most 256 are read"]
    assert peak < 32 << 20


def test_by_default_what_is_small_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (dataset,) = open_all(folders(tmp_path / "photos", a=3, b=2))
    size = sum(dataset.size(k) for k in range(5))
    for limit, expected in ((size, 5), (size - 1, 0)):
        monkeypatch.setattr("darkroom.inspection.survey.DECODED_UP_TO_BYTES", limit)
        assert int(survey(dataset, None, 1, lambda done: None).looks["decoded"].sum()) == expected


def test_a_jpeg_with_zeros_after_its_end_is_whole(tmp_path: Path):
    data = file_of(scene(), "JPEG")
    path = record_file(tmp_path / "x.rec", [0, 1], [data + bytes(500), data])
    (dataset,) = open_all(path)
    looks = survey(dataset, False, 1, lambda done: None)
    assert looks.faults == {}
    assert looks.looks["decoded"].tolist() == [True, False]  # the doubtful one alone


@given(st.lists(st.integers(1, 10**6), max_size=200))
def test_a_histogram_counts_everything_once(values):
    bins = histogram(np.array(values, dtype=np.int64))
    assert sum(count for _, count in bins) == len(values)
    assert len(bins) <= 17
