"""The format of a stream file: what was written comes back, whatever a crash did to the file in between."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.contract import logs

MESSAGES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t")) | st.text(
    "\\nr\n\r0", max_size=12
)
TIMES = st.integers(0, 10**13 - 1)


def events_of(path: Path) -> list[tuple[int, str]]:
    return [logs.decode(line) for line in path.read_bytes().splitlines(keepends=True)]


@given(TIMES, MESSAGES)
def test_a_line_comes_back(timestamp_ms: int, message: str) -> None:
    line = logs.encode(timestamp_ms, message)
    assert logs.decode(line) == (timestamp_ms, message)
    assert line.count(b"\n") == 1
    assert b"\r" not in line


def test_a_tab_is_written_as_cloudwatch_shows_it() -> None:
    assert logs.decode(logs.encode(5, "Batch [20]\tSpeed: 1")) == (5, "Batch [20]#011Speed: 1")


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert logs.decode(logs.encode(5, "\ud800")) == (5, "\\ud800".replace("\\", "\\"))


@pytest.mark.parametrize("line", [b"", b"\n", b"1234567890123 unfinished", b"123 short\n", b"12345678901x3 m\n"])
def test_what_is_no_whole_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"line|timestamp"):
        logs.decode(line)


@given(st.text(max_size=40), st.integers(4, 12))
def test_places_to_cut_never_split_a_character(text: str, limit: int) -> None:
    data = text.encode("utf-8", "backslashreplace")
    while data:
        end = logs.boundary(data, limit)
        assert 0 < end <= limit
        data[:end].decode()
        data = data[end:]


def test_what_is_not_utf8_is_cut_anywhere() -> None:
    assert logs.boundary(b"\x80" * 100, 10) == 10


def test_long_messages_are_split() -> None:
    message = "é" * logs.MAX_MESSAGE_BYTES
    pieces = list(logs.split(message))
    assert "".join(pieces) == message
    assert [len(piece.encode()) for piece in pieces] == [logs.MAX_MESSAGE_BYTES] * 2


def test_times_never_decrease(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    writer = logs.Writer(path)
    writer.write([(7, "a"), (5, "b")])
    writer.close()
    writer = logs.Writer(path)  # also for the next writer, after a restart
    writer.write([(6, "c"), (8, "d")])
    writer.close()
    assert events_of(path) == [(7, "a"), (7, "b"), (7, "c"), (8, "d")]


@given(st.lists(st.tuples(st.integers(0, 10**6), MESSAGES), min_size=1, max_size=5), st.data())
def test_a_torn_end_spoils_only_itself(
    tmp_path_factory: pytest.TempPathFactory, written: list, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "stream"
    writer = logs.Writer(path)
    writer.write(sorted(written))
    os.truncate(path, data.draw(st.integers(0, path.stat().st_size)))
    writer.close()
    kept = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    writer = logs.Writer(path)
    writer.write([(10**7, "after")])
    writer.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[: len(kept)] == kept
    assert logs.decode(lines[-1]) == (10**7, "after")


def test_a_long_last_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    writer = logs.Writer(path)
    writer.write([(9, "x" * 200_000)])
    writer.close()
    writer = logs.Writer(path)
    writer.write([(1, "y")])
    writer.close()
    assert [timestamp_ms for timestamp_ms, _ in events_of(path)] == [9, 9]


def test_a_full_disk_tears_one_line_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stream"
    writer = logs.Writer(path)
    writer.write([(1, "before")])
    real_write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 5:
            return real_write(file, data[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            writer.write([(2, "lost")])
    writer.write([(3, "after")])
    writer.close()
    decoded = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            decoded.append(logs.decode(line))
        except ValueError:
            continue
    assert decoded[0] == (1, "before")
    assert decoded[-1] == (3, "after")
