"""Output to lines: exact, with the clock in hand."""

from hypothesis import given
from hypothesis import strategies as st

from darkroom.executors.lines import PATIENCE_S, Lines


def test_lines_come_when_they_are_finished() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw", 0) == ["one"]
    assert lines.feed(b"o\n\n", 0) == ["two", ""]
    assert lines.close() == []


@given(
    st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b".").replace(b"\r", b".")), max_size=8), st.data()
)
def test_however_output_is_cut_the_lines_are_the_same(texts: list[bytes], data: st.DataObject) -> None:
    output = b"".join(text + b"\n" for text in texts)
    lines, found = Lines(), []
    while output:
        size = data.draw(st.integers(1, len(output)))
        found += lines.feed(output[:size], 0)
        output = output[size:]
    assert found + lines.close() == [text.decode("utf-8", "replace") for text in texts]


def test_a_carriage_return_and_newline_end_one_line() -> None:
    lines = Lines()
    assert lines.feed(b"dos\r", 0) == []
    assert lines.feed(b"\nnext\r\n", 0) == ["dos", "next"]


def test_of_a_progress_bar_the_newest_state_counts() -> None:
    lines = Lines()
    assert lines.feed(b"\r 10%|#   |\r 20%|##  |", 0) == []
    assert lines.feed(b"\r100%|####|\n", 0) == ["100%|####|"]
    assert lines.feed(b"10%\r20%\r\n", 0) == ["20%"]


def test_a_moving_progress_bar_is_shown_once_a_second() -> None:
    lines, shown = Lines(), []
    for tenth in range(30):
        now = tenth / 10
        lines.feed(b"\r%d" % tenth, now)
        shown += lines.tick(now)
    assert shown == ["10", "21"]
    assert lines.feed(b"\n", 3) == ["29"]


def test_unfinished_text_is_shown_after_a_moment_and_not_again() -> None:
    lines = Lines()
    lines.feed(b"loading ...", 5)
    assert lines.due == 5 + PATIENCE_S
    assert lines.tick(5.5) == []
    assert lines.tick(5 + PATIENCE_S) == ["loading ..."]
    assert lines.due is None
    assert lines.feed(b"\n", 9) == []
    assert lines.feed(b"done\n\n", 9) == ["done", ""]


def test_what_follows_shown_text_is_a_line_of_its_own() -> None:
    lines = Lines()
    lines.feed(b"loading ...", 0)
    assert lines.tick(2) == ["loading ..."]
    assert lines.feed(b" done\n", 3) == [" done"]


def test_new_text_on_a_finished_line_waits_anew() -> None:
    lines = Lines()
    lines.feed(b"a", 0)
    lines.feed(b"\nb", 0.9)
    assert lines.due == 0.9 + PATIENCE_S


def test_the_last_line_needs_no_newline() -> None:
    lines = Lines()
    lines.feed(b"all\nthat is left", 0)
    assert lines.close() == ["that is left"]
    assert lines.close() == []


def test_bytes_that_are_no_utf8_are_kept_readable() -> None:
    assert Lines().feed(b"caf\xc3\xa9 \xff\n", 0) == ["café \ufffd"]


def test_long_lines_are_split_between_characters() -> None:
    lines = Lines(limit=5)
    assert lines.feed("ééééx\n".encode(), 0) == ["éé", "ééx"]
    assert lines.feed(b"123456789", 0) == ["12345"]  # before their end is there: memory stays bounded
    assert lines.feed(b"\n", 0) == ["6789"]
