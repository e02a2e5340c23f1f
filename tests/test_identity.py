import multiprocessing
import stat
from pathlib import Path

import pytest

from darkroom.errors import Invalid
from darkroom.identity import FILE, Identity, load_or_create


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_have_the_shape_of_aws_keys_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    identity = load_or_create(home)
    assert identity.access_key.startswith("AKIA")
    assert len(identity.access_key) == 20
    assert len(identity.secret_key) == 40
    assert mode_of(home) == 0o700
    assert mode_of(home / FILE) == 0o600
    assert [p.name for p in home.iterdir()] == [FILE]


def test_a_second_start_keeps_the_keys(tmp_path: Path) -> None:
    assert load_or_create(tmp_path) == load_or_create(tmp_path)


def test_two_homes_have_different_keys(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a") != load_or_create(tmp_path / "b")


def test_only_the_own_access_key_has_a_secret() -> None:
    identity = Identity("AKIAOURS", "hush")
    assert identity.secret_of("AKIAOURS") == "hush"
    assert identity.secret_of("AKIATHEIRS") is None


def test_the_secret_never_shows_in_a_repr() -> None:
    assert "hush" not in repr(Identity("AKIAOURS", "hush"))


def test_loosened_permissions_are_tightened(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    load_or_create(tmp_path)
    assert mode_of(tmp_path / FILE) == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{nonsense"])
def test_a_broken_file_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(Invalid, match="remove it"):
        load_or_create(tmp_path)


def start_together(home: Path, barrier: "multiprocessing.Barrier", answers: "multiprocessing.Queue") -> None:
    barrier.wait()
    identity = load_or_create(home)
    answers.put((identity.access_key, identity.secret_key))


def test_first_starts_at_the_same_moment_agree_on_the_keys(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    starts = [context.Process(target=start_together, args=(tmp_path, barrier, answers)) for _ in range(4)]
    for start in starts:
        start.start()
    seen = {answers.get(timeout=30) for _ in starts}
    for start in starts:
        start.join(30)
    assert len(seen) == 1
