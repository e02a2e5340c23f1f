import base64
import io
import itertools
import re

import pytest
from PIL import Image

from darkroom.cli import comparing, comparison_page, racing
from darkroom.cli.comparison_page import Figures
from darkroom.cli.console import Failure
from darkroom.cli.racing import Photo, Side
from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter

A = Figures("first", (40.0, 44.0, 60.0), 400.0, 2.0, 0.9)
B = Figures("first & faster", (8.0, 11.0, 20.0), 160.0, 0.5, 0.899)


class Recorded:
    """Answers class 0 for endpoint "a", the photo's first byte for "b", refuses 9, and remembers who was asked."""

    def __init__(self):
        self.asked = []

    def ask(self, endpoint, photo, clock):
        if photo[0] == 9:
            return None
        self.asked.append(endpoint)
        number = 0 if endpoint == "a" else photo[0]
        took = {"a": 0.04, "b": 0.01}[endpoint]
        return took, {"probabilities": [float(k == number) for k in range(3)], "labels": ["x", "y", "z"]}


def raced(photos, requests=4):
    line, sides = Recorded(), [Side("A", "a"), Side("B", "b")]
    assert list(racing.race(line, sides, photos, requests, itertools.count().__next__)) == [1, 2, 3, 4]
    return line, sides


def test_sides_take_turns_and_neither_always_goes_first():
    line, (a, b) = raced([Photo(bytes([k]), k) for k in range(3)])
    assert line.asked[: 2 * racing.WARM_UP] == ["a", "b"] * racing.WARM_UP
    assert line.asked[2 * racing.WARM_UP :] == ["a", "b", "b", "a"] * 2
    assert (len(a.times_s), len(b.times_s)) == (4, 4)
    assert (a.quantile_ms(0.5), b.quantile_ms(0.99)) == (40, 10)


@pytest.mark.parametrize("labels", [(0, 1, 2), ("x", "y", "z")])
def test_accuracy_by_number_or_by_name(labels):
    photos = [Photo(bytes([k]), label) for k, label in enumerate(labels)]
    _, (a, b) = raced(photos)
    assert (a.accuracy(photos), b.accuracy(photos)) == (pytest.approx(1 / 3), 1)
    assert racing.agreement(a, b) == pytest.approx(1 / 3)


def test_no_accuracy_where_nobody_said_what_is_on_the_photos():
    photos = [Photo(b"\1"), Photo(b"\2")]
    _, (a, b) = raced(photos)
    assert a.accuracy(photos) is None
    assert racing.agreement(a, b) == 0


def test_a_photo_that_is_refused_counts_for_nobody():
    photos = [Photo(b"\1", 1), Photo(b"\x09", 0), Photo(b"\2", 2)]
    _, (a, b) = raced(photos)
    assert set(a.answers) == set(b.answers) == {0, 2}
    assert (len(a.times_s), len(b.times_s), b.accuracy(photos)) == (4, 4, 1)
    with pytest.raises(Failure, match="no photo could be answered"):
        raced([Photo(b"\x09")])


def test_quantiles_of_few_times():
    side = Side("", "", times_s=[0.003, 0.001, 0.002])
    assert [side.quantile_ms(q) for q in (0.5, 0.9, 0.99)] == [2, 3, 3]


def test_the_table():
    assert comparison_page.rows(A, B) == [
        ("p50", "40.0 ms", "8.0 ms", "5.0×"),
        ("p90", "44.0 ms", "11.0 ms", "4.0×"),
        ("p99", "60.0 ms", "20.0 ms", "3.0×"),
        ("memory", "400 MiB", "160 MiB", "2.5×"),
        ("cold start", "2.00 s", "0.50 s", "4.0×"),
        ("accuracy", "90.00%", "89.90%", "-0.10 points"),
    ]
    unknown = Figures("other", (1.0, 1.0, 1.0), None, None, None)
    assert comparison_page.rows(A, unknown)[3:] == [
        ("memory", "400 MiB", "not known", ""),
        ("cold start", "2.00 s", "not known", ""),
    ]


def test_the_page_holds_its_chart_and_nobodys_markup():
    page = comparison_page.page(A, B, ["said <so>"])
    assert "<h1>first against first &amp; faster</h1>" in page
    assert "said &lt;so&gt;" in page
    picture = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1])
    assert picture == comparison_page.png(A, B)
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_bars_are_as_long_as_their_times():
    image = Image.open(io.BytesIO(comparison_page.png(A, B))).convert("RGB")
    row = comparison_page.TOP + comparison_page.GAP + 2
    lengths = [
        sum(image.getpixel((x, row + k * (comparison_page.BAR + 2))) == colour for x in range(image.width))
        for k, colour in enumerate(comparison_page.COLOURS)
    ]
    assert lengths[0] / lengths[1] == pytest.approx(5, rel=0.02)


def test_photos_of_a_folder_bring_their_class(photo_folder):
    photos = comparing.read(photo_folder(dark=3, light=2), 100)
    assert sorted(photo.label for photo in photos) == ["dark"] * 3 + ["light"] * 2


def test_photos_of_a_record_file_bring_their_number(tmp_path):
    with RecordWriter(tmp_path / "a.rec") as file:
        for k in range(10):
            file.write(pack_image(ImageHeader([float(k)], k), b"photo %d" % k))
        file.write(pack_image(ImageHeader([0.0, 1.0], 10), b"several"))
    assert comparing.read(tmp_path / "a.rec", 5)[1] == Photo(b"photo 2", 2)
    assert comparing.read(tmp_path / "a.rec", 100)[-1] == Photo(b"several", None)


@pytest.mark.parametrize("data", [b"", b"no records at all"])
def test_a_file_without_photos_is_refused(tmp_path, data):
    (tmp_path / "a.rec").write_bytes(data)
    with pytest.raises(Failure, match=r"a\.rec"):
        comparing.read(tmp_path / "a.rec", 5)
