"""The worst mistakes are shown from whichever hosts have their images."""

import logging

import cv2
import numpy as np
import pytest

from darkroom.algorithm.data.images import ImageSet, Memory
from darkroom.algorithm.data.samples import RecordSamples
from darkroom.algorithm.hosts import ALONE, side_by_side
from darkroom.algorithm.report import worst
from darkroom.algorithm.report.answers import Answers
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.worst import ELSEWHERE, Part
from darkroom.formats.lst import LstLine, write_lst
from tests.algorithm.jobs import Job, jpeg
from tests.algorithm.sharing import on_each

LOG = logging.getLogger("nobody")
COUNTS = (4, 3)


def images(tmp_path, rank):
    """Of one host; image k is k + 1 tens of pixels wide."""
    job = Job(tmp_path / str(rank))
    pictures = [jpeg(0, k, 36, 10 * (1 + k + sum(COUNTS[:rank]))) for k in range(COUNTS[rank])]
    job.records("validation", [0] * COUNTS[rank], pictures, name=f"part-{rank}")
    samples = RecordSamples([job.channel("validation") / f"part-{rank}.rec"])
    return ImageSet.of(samples, np.zeros(COUNTS[rank], np.int64), lambda data: data, Memory(0))


def answered(several):
    """A history of seven images, of which 1, 4 and 6 are mistaken, the last ones with most confidence."""
    sure = np.array([0.9, 0.6, 0.9, 0.9, 0.7, 0.9, 0.8])
    wrong = [1, 4, 6]
    rows = np.stack([np.zeros(7), sure, np.ones(7), np.zeros(7)])
    if several:
        rows[1] = np.where(np.isin(np.arange(7), wrong), sure, 0.1)
    else:
        rows[3, wrong] = 1
    history = History(2)
    history.answers = Answers(rows, np.zeros((3, 2), np.int64))
    return history


@pytest.mark.parametrize("several", [False, True])
def test_the_first_host_shows_those_of_all(tmp_path, several):
    def show(hosts):
        part = Part(images(tmp_path, hosts.rank), sum(COUNTS[: hosts.rank]))
        history = History(2) if hosts.rank else answered(several)  # as after a restart
        return worst.shown(history, several, part, LOG, hosts)

    first, second = on_each(2, show)
    assert second == []
    assert [(it.mistake.k, it.name) for it in first] == [
        (6, "record 2 of part-1.rec (id 2)"),
        (4, "record 0 of part-1.rec (id 0)"),
        (1, "record 1 of part-0.rec (id 1)"),
    ]
    widths = [cv2.imdecode(np.frombuffer(it.thumbnail, np.uint8), cv2.IMREAD_COLOR).shape[1] for it in first]
    assert widths == [70, 50, 20]
    assert [it.mistake.has for it in first] == [False] * 3
    assert [it.mistake.true for it in first] == [None if several else 1] * 3


def test_a_host_that_cannot_ask_the_others_shows_its_own(tmp_path):
    shown = worst.shown(answered(False), False, Part(images(tmp_path, 0)), LOG, ALONE)
    assert [(it.name, it.thumbnail is None) for it in shown] == [
        (ELSEWHERE[0], True),
        (ELSEWHERE[0], True),
        ("record 1 of part-0.rec (id 1)", False),
    ]


def test_a_list_beside_the_records_names_them(tmp_path):
    part = Part(images(tmp_path, 0))
    lst = part.images.samples.files[0].path.with_suffix(".lst")
    write_lst(lst, [LstLine(k, (0.0,), f"cat/{k}.jpg") for k in range(COUNTS[0])])
    assert worst.shown(answered(False), False, part, LOG, ALONE)[2].name == "cat/1.jpg"


@pytest.mark.parametrize("content", ["1\t7\tcat/1.jpg\n", "2\t0\tcat/2.jpg\n", "no list"])
def test_a_list_of_other_records_names_none(tmp_path, content):
    part = Part(images(tmp_path, 0))
    part.images.samples.files[0].path.with_suffix(".lst").write_text(content)
    assert worst.shown(answered(False), False, part, LOG, ALONE)[2].name == "record 1 of part-0.rec (id 1)"


def test_when_time_is_up_pictures_are_left_out_and_names_are_not(tmp_path):
    times = iter([0.0, 1.0, 10.1])
    part = Part(images(tmp_path, 1), COUNTS[0])
    shown = worst.shown(answered(False), False, part, LOG, ALONE, clock=lambda: next(times))
    assert [(it.name, it.thumbnail is None) for it in shown[:2]] == [
        ("record 2 of part-1.rec (id 2)", False),
        ("record 0 of part-1.rec (id 0)", True),
    ]


def test_what_goes_wrong_is_a_warning(tmp_path, caplog):
    class Broken(ImageSet):
        def name(self, k):
            raise RuntimeError("nobody knows")

    part = Part(Broken(**vars(images(tmp_path, 0))))
    assert worst.shown(answered(False), False, part, LOG, ALONE) == []
    assert "The mistakes are not in the report: RuntimeError: nobody knows" in caplog.text


def test_numbers_of_hosts_stand_side_by_side():
    def tell(hosts):
        return side_by_side(np.array([[hosts.rank, np.nan], [1.0, 2.0]])[:, : 2 - hosts.rank % 2], hosts)

    told = on_each(3, tell)
    for numbers in told:
        np.testing.assert_array_equal(numbers, [[0, np.nan, 1, 2, np.nan], [1, 2, 1, 1, 2]])
