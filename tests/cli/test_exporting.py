"""``darkroom export`` where its files cannot be written: one line that names the folder."""

from pathlib import Path

import pytest

from darkroom.cli.console import Failure
from darkroom.cli.exporting import _export, export
from darkroom.compiler import exporting

pytest.importorskip("onnx")


def test_a_file_is_no_folder_to_export_to(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(Failure, match=r"/there is a file: name a new folder$") as caught:
        export("job", tmp_path / "there")
    assert caught.value.exit_code == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(model: Path, target: Path) -> list[Path]:
        target.mkdir(parents=True)
        return []

    monkeypatch.setattr(exporting, "export", make)
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"/file/left cannot be written: Not a directory$"):
        _export(tmp_path, tmp_path / "file" / "left", "job")
