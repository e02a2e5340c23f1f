import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Unavailable
from darkroom.executors import sockets


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose own path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_paths_are_short_however_long_the_names(tmp_path: Path) -> None:
    path = sockets.path_for(tmp_path / ("home" * 40), "t" * 151)
    assert len(os.fsencode(path)) < 100
    assert path != sockets.path_for(tmp_path, "t" * 151)
    assert path != sockets.path_for(tmp_path / ("home" * 40), "t" * 150)


def test_each_has_a_private_folder_that_goes_with_it(short: Path) -> None:
    path = sockets.path_for(Path("/home"), "one")
    sockets.prepare(path)
    sockets.prepare(path)
    path.touch()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    sockets.discard(path)
    assert os.listdir(short) == []
    sockets.discard(path)


def test_a_folder_of_someone_else_is_refused(tmp_path: Path, short: Path) -> None:
    path = sockets.path_for(Path("/home"), "one")
    path.parent.symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="belongs to someone else"):
        sockets.prepare(path)


def test_a_long_tmpdir_does_not_make_a_path_that_cannot_be_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 25)))
    assert len(os.fsencode(sockets.path_for(tmp_path, "one"))) <= sockets.MAX_PATH_BYTES
