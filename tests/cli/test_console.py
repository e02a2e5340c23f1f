"""What is said to a terminal is text, whatever somebody called a class or a file."""

import pytest

from darkroom.cli import main
from darkroom.cli.console import plain, say_failure
from tests.cli.conftest import Darkroom


@pytest.mark.parametrize("control", ["\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "\r", "\x00", "\x7f", "\udce9"])
def test_no_name_commands_the_terminal(control: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = plain(f"cat{control}")
    assert shown.startswith("cat\N{REPLACEMENT CHARACTER}")
    assert not set(shown) & set("\x1b\x07\x9b\r\x00\x7f\udce9")
    say_failure(f"two\nlines{control}")
    said = capsys.readouterr().err
    assert said.startswith("error two\nlines\N{REPLACEMENT CHARACTER}")
    assert not set(said) & set("\x1b\x07\x9b\r\x00\x7f\udce9")


def test_names_in_any_script_are_shown_as_they_are() -> None:
    assert plain("jp\u3000inu Größe 写真 \N{DOG FACE}") == "jp\u3000inu Größe 写真 \N{DOG FACE}"


def test_a_disk_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "/a/file")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error /a/file: Permission denied\n"


@pytest.mark.slow
def test_a_home_that_is_a_file_is_one_line(darkroom: Darkroom) -> None:
    darkroom.home.write_text("a file")
    done = darkroom("weights", "pull", "preact_resnet18", "--unchecked")
    assert done.returncode == 1
    assert done.stderr.startswith("error ")
    assert done.stderr.count("\n") == 1
