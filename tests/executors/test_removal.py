import os
from pathlib import Path

from darkroom.executors.removal import remove


def become_plain_user(owned: Path) -> None:
    """One whom file modes bind."""
    for path, folders, files in os.walk(owned):
        for name in (".", *folders, *files):
            os.chown(os.path.join(path, name), 65534, 65534, follow_symlinks=False)
    os.setuid(65534)


def test_unreadable_folders_go_too_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    task = tmp_path / "task"
    (task / "work/work/deep").mkdir(parents=True)
    (task / "work/work/deep/file").write_text("x")
    (task / "link").symlink_to(outside)
    (task / "work/work/deep").chmod(0)
    (task / "work/work").chmod(0)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(tmp_path)
            if os.geteuid() == 0:
                become_plain_user(tmp_path)
            remove(Path("task"))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not task.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_nothing_to_remove_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "nothing")
