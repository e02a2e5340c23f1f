"""Whole runs of im2rec: what lies on disk after them, and what was said. The bytes are compared with MXNet's own in
tests/clients/test_mxnet_im2rec.py."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.cli.im2rec import as_typed
from darkroom.cli.main import app
from darkroom.formats import writing
from darkroom.formats.folders import scan
from darkroom.formats.framing import MAX_LENGTH
from darkroom.formats.lst import read_lst
from darkroom.formats.recordio import RecordFile
from darkroom.im2rec.command import main
from tests.inspection.sets import close


@pytest.fixture
def photos(tmp_path):
    """Two class folders, of 3 and 2 photos of 48 x 80, one in a deeper folder."""
    root = tmp_path / "photos"
    for number, name in enumerate(["ant/1.jpg", "ant/2.JPEG", "ant/deep/3.png", "bee/1.jpg", "bee/2.jpg"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((48, 80, 3), number * 40, np.uint8)
        path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())
    return root


def run(tmp_path, photos, words):
    return main([*words.split(), str(tmp_path / "set"), str(photos)])


def lines(tmp_path, name="set.lst"):
    return (tmp_path / name).read_text().splitlines()


def test_folders_that_hold_images_are_the_classes(tmp_path, photos, capsys):
    assert run(tmp_path, photos, "--list --recursive --no-shuffle") == 0
    assert lines(tmp_path) == [
        "0\t0.000000\tant/1.jpg",
        "1\t0.000000\tant/2.JPEG",
        "2\t1.000000\tant/deep/3.png",
        "3\t2.000000\tbee/1.jpg",
        "4\t2.000000\tbee/2.jpg",
    ]
    assert capsys.readouterr().out == "ant 0\nant/deep 1\nbee 2\n"


LETTERS = ("Bild\u202f10", "x\u00a0y", "a\u3000b", "👩\u200d🔬", "x\u2028y\x85z\x0b!", "\ue000\u00ad")


def test_names_in_any_letters_are_listed_and_labelled_as_training_labels_them(tmp_path, photos):
    for name in LETTERS:
        (photos / name).mkdir()
        for number in range(2):
            (photos / name / f"{name}{number}.jpg").write_bytes((photos / "bee" / "1.jpg").read_bytes())
    (photos / "ant" / "deep" / "3.png").unlink()
    run(tmp_path, photos, "--list --recursive")
    known = {(str(sample.path.relative_to(photos)), sample.label) for sample in scan(photos).samples}
    assert {(line.path, line.labels[0]) for line in read_lst(tmp_path / "set.lst")} == known
    assert run(tmp_path, photos, "--pass-through") == 0
    assert len(RecordFile(tmp_path / "set.rec")) == len(known) == 16


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb", " ", "\u3000a", os.fsdecode(b"\xff")])
def test_a_name_that_no_line_holds_shifts_no_label(tmp_path, photos, capsys, name):
    (photos / name).mkdir()
    (photos / name / "1.jpg").write_bytes(b"")
    assert run(tmp_path, photos, "--list --recursive") == 0
    labels = {line.path.split("/")[0]: line.labels[0] for line in read_lst(tmp_path / "set.lst")}
    assert labels["bee"] == sorted([name, "ant", "ant/deep", "bee"]).index("bee")
    said = capsys.readouterr().out
    assert "a .lst cannot hold the name" in said
    said.encode()


def test_a_folder_that_cannot_be_read_shifts_no_label(tmp_path, photos, capsys, monkeypatch):
    close(photos / "ant", monkeypatch)
    assert run(tmp_path, photos, "--list --recursive") == 1
    assert f"{photos / 'ant'} cannot be read (Permission denied); make it readable" in capsys.readouterr().err
    assert not (tmp_path / "set.lst").exists()


def test_a_photo_that_may_not_be_looked_at_shifts_no_label(tmp_path, photos, capsys, monkeypatch):
    stat = os.stat

    def refusing(path, *arguments, **named):  # as in a folder of mode 444
        if str(path).startswith(str(photos / "ant" / "deep") + os.sep):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", refusing)
    assert run(tmp_path, photos, "--list --recursive") == 1
    assert "3.png cannot be read (Permission denied)" in capsys.readouterr().err


def test_the_lost_and_found_of_a_file_system_is_passed_over(tmp_path, photos, monkeypatch):
    (photos / "lost+found").mkdir()
    close(photos / "lost+found", monkeypatch)
    assert run(tmp_path, photos, "--list --recursive") == 0
    assert len(lines(tmp_path)) == 5


def test_the_parts_of_a_list_are_the_list(tmp_path, photos):
    run(tmp_path, photos, "--list --recursive")
    whole = lines(tmp_path)
    run(tmp_path, photos, "--list --recursive --train-ratio 0.4 --test-ratio 0.2")
    assert [
        *lines(tmp_path, "set_test.lst"),
        *lines(tmp_path, "set_train.lst"),
        *lines(tmp_path, "set_val.lst"),
    ] == whole
    run(tmp_path, photos, "--list --recursive --chunks 2")
    assert [*lines(tmp_path, "set_0.lst"), *lines(tmp_path, "set_1.lst")] == whole


def test_a_link_that_leads_back_is_followed_once(tmp_path, photos, capsys):
    (photos / "bee" / "again").symlink_to(photos)
    assert run(tmp_path, photos, "--list --recursive") == 0
    assert len(lines(tmp_path)) == 5
    assert "leads back" in capsys.readouterr().out


@pytest.mark.timeout(60)
def test_folders_that_link_to_each_other_come_to_an_end(tmp_path, photos):
    (photos / "cat").mkdir()
    for one in ("ant", "bee", "cat"):
        for other in {"ant", "bee", "cat"} - {one}:
            (photos / one / f"to_{other}").symlink_to(photos / other)
    (photos / "bee" / "up").symlink_to(tmp_path)
    assert run(tmp_path, photos, "--list --recursive --no-shuffle") == 0
    listed = [line.path for line in read_lst(tmp_path / "set.lst")]
    assert len(listed) == len(set(listed))
    assert "ant/to_bee/to_cat" not in "".join(listed)  # it holds none itself
    assert [path for path in listed if path.startswith("cat/")] == [
        "cat/to_ant/1.jpg",
        "cat/to_ant/2.JPEG",
        "cat/to_ant/deep/3.png",
        "cat/to_ant/to_bee/1.jpg",
        "cat/to_ant/to_bee/2.jpg",
        "cat/to_bee/1.jpg",
        "cat/to_bee/2.jpg",
        "cat/to_bee/to_ant/1.jpg",
        "cat/to_bee/to_ant/2.JPEG",
        "cat/to_bee/to_ant/deep/3.png",
    ]


def test_files_pass_through_as_they_are(tmp_path, photos):
    run(tmp_path, photos, "--list --recursive")
    assert run(tmp_path, photos, "--pass-through --num-thread 3") == 0
    packed = RecordFile(tmp_path / "set.rec")
    for position, line in enumerate(lines(tmp_path)):
        index, label, path = line.split("\t")
        header, data = packed.image(position)
        assert (header.id, header.label.tolist()) == (int(index), [float(label)])
        assert bytes(data) == (photos / path).read_bytes()


def test_what_cannot_be_packed_is_left_out_and_named(tmp_path, photos, capsys):
    (photos / "ant" / "1.jpg").write_bytes(b"not a picture")
    (photos / "ant" / "2.JPEG").write_bytes((photos / "ant" / "2.JPEG").read_bytes()[:-150])
    run(tmp_path, photos, "--list --recursive --no-shuffle")
    with open(tmp_path / "set.lst", "a") as lst:
        lst.write("5\t0\tgone.jpg\n\nonly two\tfields\nx\t0\tant/1.jpg\n-7\t0\tbee/1.jpg\n")
    assert run(tmp_path, photos, "--resize 32 --num-thread 2") == 0
    said = capsys.readouterr()
    assert "3 records in set.rec, 6 left out" in said.out
    for words in ("ant/1.jpg (line 1 of set.lst)", "gone.jpg (line 6", "line 8", "line 9", "bee/1.jpg (line 10"):
        assert words in said.err
    assert [line.split("\t")[0] for line in lines(tmp_path, "set.idx")] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("", (48, 80, 3)),
        ("--resize 24", (24, 40, 3)),
        ("--resize 96", (96, 160, 3)),
        ("--resize 30 --center-crop", (30, 30, 3)),
        ("--color 0 --quality 50", (48, 80, 1)),
        ("--encoding .png --quality 3 --resize 20", (20, 33, 3)),
        ("--color -1 --encoding .png", (48, 80, 3)),
    ],
)
def test_pictures_come_out_as_asked(tmp_path, photos, words, shape):
    run(tmp_path, photos, "--list --recursive --no-shuffle")
    assert run(tmp_path, photos, words) == 0
    packed = RecordFile(tmp_path / "set.rec")
    for position in range(len(packed)):
        pixels = cv2.imdecode(np.frombuffer(packed.image(position)[1], np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels.reshape(*pixels.shape[:2], -1).shape == shape
        assert abs(int(pixels.mean()) - position * 40) <= 2


def test_gray_files_stay_gray_and_alpha_stays_where_asked(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "gray.jpg").write_bytes(simplejpeg.encode_jpeg(np.full((20, 30, 1), 9, np.uint8), colorspace="GRAY"))
    (root / "clear.png").write_bytes(cv2.imencode(".png", np.full((20, 30, 4), (10, 20, 30, 40), np.uint8))[1])
    run(tmp_path, root, "--list --no-shuffle")
    assert run(tmp_path, root, "--color -1 --encoding .png") == 0
    packed = RecordFile(tmp_path / "set.rec")
    clear, gray = (cv2.imdecode(np.frombuffer(packed.image(k)[1], np.uint8), -1) for k in range(2))
    assert gray.shape == (20, 30)
    assert clear[0, 0].tolist() == [10, 20, 30, 40]


def test_several_labels_are_packed_on_request_only(tmp_path, photos):
    (tmp_path / "set.lst").write_text("7\t1\t0\t1\tant/1.jpg\n8\t1\tbee/1.jpg\n")
    run(tmp_path, photos, "--pass-through --pack-label")
    packed = RecordFile(tmp_path / "set.rec")
    assert [packed.image(k)[0].label.tolist() for k in range(2)] == [[1, 0, 1], [1]]
    run(tmp_path, photos, "--pass-through")
    assert RecordFile(tmp_path / "set.rec").image(0)[0].label.tolist() == [1]


def test_every_list_of_the_prefix_is_packed(tmp_path, photos):
    run(tmp_path, photos, "--list --recursive --train-ratio 0.6")
    assert run(tmp_path, photos, "--pass-through") == 0
    assert [len(RecordFile(tmp_path / name)) for name in ("set_train.rec", "set_val.rec")] == [3, 2]


def test_what_is_missing_is_said(tmp_path, photos, capsys):
    assert run(tmp_path, photos, "") == 1
    assert "make one first, with --list" in capsys.readouterr().err
    assert run(tmp_path, tmp_path / "nowhere", "--list") == 1
    assert "there is no folder" in capsys.readouterr().err
    assert run(tmp_path, photos, "--list") == 0
    assert "--recursive looks into its subfolders" in capsys.readouterr().err
    (tmp_path / "set.lst").write_text("0\t0\tgone.jpg\n")
    assert run(tmp_path, photos, "--pass-through") == 1


@pytest.mark.parametrize("content", ["", "0 0 ant/1.jpg\n1 2 bee/1.jpg\n", "0\t0\tgone.jpg\n"])
def test_a_list_without_a_record_fails_and_leaves_what_was_there(tmp_path, photos, capsys, content):
    (tmp_path / "set.lst").write_text("0\t0\tant/1.jpg\n")
    assert run(tmp_path, photos, "--pass-through") == 0
    before = (tmp_path / "set.rec").read_bytes(), (tmp_path / "set.idx").read_bytes()
    (tmp_path / "set.lst").write_text(content)
    assert run(tmp_path, photos, "--pass-through") == 1
    assert ((tmp_path / "set.rec").read_bytes(), (tmp_path / "set.idx").read_bytes()) == before
    said = capsys.readouterr()
    left_out = f", {content.count(chr(10))} left out" if content else ""
    assert f"no line of {tmp_path / 'set.lst'} gave a record{left_out}; a line is an index, a label" in said.err
    assert "with tabs between them" in said.err
    assert "set.rec is not written" in said.out


@pytest.mark.parametrize(("size", "most"), [(MAX_LENGTH + 1, MAX_LENGTH), (4990, 5000)])  # the latter with a header
def test_a_file_that_no_record_holds_is_left_out(tmp_path, photos, capsys, monkeypatch, size, most):
    with open(photos / "ant" / "1.jpg", "wb") as file:
        file.truncate(size)
    monkeypatch.setattr(writing, "MAX_LENGTH", most)
    run(tmp_path, photos, "--list --recursive")
    assert run(tmp_path, photos, "--pass-through") == 0
    said = capsys.readouterr()
    assert "4 records in set.rec, 1 left out" in said.out
    assert "too long: RecordIO holds less than 512 MiB each" in said.err


@pytest.mark.parametrize(
    ("ending", "data", "reason"),
    [
        (
            ".png",
            b"\x89PNG\r\n\x1a\n" + bytes(40),
            "this PNG cannot be opened: its header is damaged or the file is cut",
        ),
        (".tiff", b"II*\0" + bytes(40), "this TIFF "),
        (".heic", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC photos cannot be read here; export the photo as JPEG"),
    ],
    ids=["png", "tiff", "heic"],
)
def test_damaged_pictures_are_told_alike_with_every_colour(tmp_path, photos, capsys, ending, data, reason):
    (photos / f"x{ending}").write_bytes(data)
    (tmp_path / "set.lst").write_text(f"0\t0\tx{ending}\n")
    said = []
    for color in (1, -1):
        run(tmp_path, photos, f"--color {color}")
        said.append(capsys.readouterr().err.splitlines()[0])
    assert said[0] == said[1]
    assert f"x{ending} (line 1 of set.lst): {reason}" in said[0]
    assert " at 0x" not in said[0]


@pytest.mark.parametrize("name", ["br{x}", "[b]", "[bold]x[", "{task.total"])
def test_the_bar_calls_a_list_by_its_name(tmp_path, photos, capsys, monkeypatch, name):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    words = [str(tmp_path / name), str(photos)]
    assert main(["--list", "--recursive", *words]) == 0
    assert main(["--pass-through", *words]) == 0
    assert f"{name}.lst" in capsys.readouterr().err


def test_a_run_that_fails_leaves_what_was_there(tmp_path, photos, monkeypatch):
    run(tmp_path, photos, "--list --recursive")
    run(tmp_path, photos, "--pass-through")
    before = (tmp_path / "set.rec").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("darkroom.im2rec.packing.image_record", interrupted)
    assert run(tmp_path, photos, "--pass-through") == 130
    assert (tmp_path / "set.rec").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300) | st.text("0123456789-.\tnaife_/", max_size=200).map(str.encode))
def test_no_list_can_hurt(tmp_path, photos, content):
    (tmp_path / "set.lst").write_bytes(content)
    assert run(tmp_path, photos, "--pass-through") in (0, 1)
    if (tmp_path / "set.rec").exists():
        list(RecordFile(tmp_path / "set.rec").offsets)


def test_the_darkroom_command_takes_the_same_words(tmp_path, photos):
    from typer.testing import CliRunner

    done = CliRunner().invoke(
        app, ["im2rec", "--list", "True", "--recursive", os.fspath(tmp_path / "set"), str(photos)]
    )
    assert done.exit_code == 0, done.output
    assert len(lines(tmp_path)) == 5
    assert "--pass-through" in CliRunner().invoke(app, ["im2rec", "--help"]).output


@pytest.mark.parametrize("program", [["-m", "darkroom.cli.main", "im2rec"], ["examples/im2rec.py"]])
def test_two_hyphens_end_the_list_of_endings(tmp_path, photos, program):
    words = ["--list", "--recursive", "--exts", ".jpg", ".png", "--", tmp_path / "set", photos]
    subprocess.run([sys.executable, *program, *words], cwd=Path(__file__).parents[2], check=True)
    assert len(lines(tmp_path)) == 4


def test_only_the_hyphens_that_are_missing_are_put_back():
    assert as_typed(["a", "b"], ["darkroom", "im2rec", "a", "--", "b"]) == ["a", "--", "b"]
    assert as_typed(["a", "--", "b"], ["darkroom", "im2rec", "a", "--", "--", "b"]) == ["a", "--", "--", "b"]
    assert as_typed(["a", "b"], ["darkroom", "--", "im2rec", "a", "b"]) == ["a", "b"]
    assert as_typed(["a", "b"], ["pytest", "--", "x"]) == ["a", "b"]


def test_passing_through_waits_for_no_library_that_it_does_not_need(tmp_path, photos):
    run(tmp_path, photos, "--list --recursive")
    program = (
        "import sys; from darkroom.im2rec.command import main; "
        "print(main(sys.argv[1:]), {'numpy', 'rich', 'cv2', 'PIL'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", program, "--pass-through", tmp_path / "set", photos]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"
