import os
import subprocess
import sys
from pathlib import Path

from darkroom.executors.removal import remove

AS_A_PLAIN_USER = """
import os
from pathlib import Path
from darkroom.executors.removal import remove
if os.geteuid() == 0:
    for path, folders, files in os.walk("."):
        for name in (".", *folders, *files):
            os.chown(os.path.join(path, name), 65534, 65534, follow_symlinks=False)
    os.setuid(65534)
remove(Path("task"))
"""


def test_unreadable_folders_go_too_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    task = tmp_path / "task"
    (task / "outer/inner/deep").mkdir(parents=True)
    (task / "outer/inner/deep/file").write_text("x")
    (task / "link").symlink_to(outside)
    (task / "outer/inner/deep").chmod(0)
    (task / "outer/inner").chmod(0)
    subprocess.run([sys.executable, "-c", AS_A_PLAIN_USER], cwd=tmp_path, check=True)
    assert not task.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_nothing_to_remove_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "nothing")


def test_folders_nested_deeper_than_stack_and_path_go_too(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    here = Path.cwd()
    os.chdir(task)
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
    remove(task)
    assert list(tmp_path.iterdir()) == []
