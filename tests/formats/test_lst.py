import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.formats.lst import LstError, LstLine, read_lst, write_lst


@pytest.fixture
def lst(tmp_path):
    def make(content: bytes):
        path = tmp_path / "train.lst"
        path.write_bytes(content)
        return path

    return make


def test_lines_of_im2rec(lst):
    lines = read_lst(lst(b"0\t1.000000\tcat/a b.jpg\n12\t0.000000\tdog/\xc3\xbc.png\n"))
    assert lines == [LstLine(0, (1.0,), "cat/a b.jpg"), LstLine(12, (0.0,), "dog/ü.png")]
    assert lines.warnings == ()


def test_several_labels(lst):
    assert read_lst(lst(b"3\t1\t0\t0.5\tx.jpg\n")) == [LstLine(3, (1.0, 0.0, 0.5), "x.jpg")]


def test_what_spreadsheets_and_windows_leave(lst):
    content = b"\xef\xbb\xbf0\t1\ta.jpg\r\n\r\n \t\t\r\n1.0\t 2 \t b.jpg \t\t\r\n2\t0\tc.jpg"
    assert read_lst(lst(content)) == [
        LstLine(0, (1.0,), "a.jpg"),
        LstLine(1, (2.0,), "b.jpg"),
        LstLine(2, (0.0,), "c.jpg"),
    ]


def test_a_repeated_index_is_a_warning(lst):
    path = lst(b"0\t1\ta.jpg\n\n0\t1\tb.jpg\n")
    lines = read_lst(path)
    assert len(lines) == 2
    assert lines.warnings == (f"{path}, line 3: the index 0 was already used in line 1",)


@pytest.mark.parametrize(
    ("content", "line", "column", "reason"),
    [
        (b"0\t1\ta.jpg\n1 0 b.jpg\n", 2, 1, r"separated by tabs, found 1 field\(s\): '1 0 b.jpg'"),
        (b"0\ta.jpg\n", 1, 2, r"found 2 field\(s\)"),
        (b"0\t1\t\n", 1, 2, r"found 2 field\(s\)"),
        (b"\n\nx\t1\ta.jpg\n", 3, 1, "the index 'x' is not a whole number from 0"),
        (b"-1\t1\ta.jpg\n", 1, 1, "the index '-1'"),
        (b"1.5\t1\ta.jpg\n", 1, 1, "the index '1.5'"),
        (b"99999999999999999999\t1\ta.jpg\n", 1, 1, "the index"),
        (b"0\t1\tcat\ta.jpg\n", 1, 3, "the label 'cat' is not a number; write class ids from 0"),
        (b"0\tnan\ta.jpg\n", 1, 2, "the label 'nan'"),
        (b"0\t1\t\xe9t\xe9.jpg\n", 1, 3, "the byte 0xe9 is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_errors_name_file_line_and_column(lst, content, line, column, reason):
    path = lst(content)
    with pytest.raises(LstError, match=reason) as caught:
        read_lst(path)
    assert str(caught.value).startswith(f"{path}, line {line}, column {column}: ")


@given(content=st.binary(max_size=60) | st.text("0123456789.\t\r\n-einfx", max_size=60).map(str.encode))
def test_no_bytes_hurt(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.lst"
    path.write_bytes(content)
    try:
        lines = read_lst(path)
    except LstError:
        return
    assert all(line.index >= 0 and line.labels for line in lines)


def test_written_as_im2rec_writes(tmp_path):
    lines = [LstLine(0, (1.0,), "cat/ü.jpg"), LstLine(7, (0.0, 1.25), "b.jpg")]
    write_lst(tmp_path / "a.lst", lines)
    assert (tmp_path / "a.lst").read_bytes() == "0\t1.000000\tcat/ü.jpg\n7\t0.000000\t1.250000\tb.jpg\n".encode()
    assert read_lst(tmp_path / "a.lst") == lines


@pytest.mark.parametrize("path", ["a\tb.jpg", "a\nb.jpg", " a.jpg", "caf\udce9.jpg", ""])
def test_paths_that_no_line_can_hold_are_refused(tmp_path, path):
    with pytest.raises(ValueError, match=r"cannot stand in a \.lst file"):
        write_lst(tmp_path / "a.lst", [LstLine(0, (0.0,), path)])
    assert not (tmp_path / "a.lst").exists()
