"""The real command in a process of its own, on a home folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darkroom.testing.live_server import free_port

Done = subprocess.CompletedProcess[str]


class Darkroom:
    """``darkroom(*arguments)`` runs the command to its end; stdout and stderr are pipes, as in a script."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DARKROOM_"))}
        self.environ = {**kept, "DARKROOM_HOME": str(home), "DARKROOM_PORT": str(self.port), "COLUMNS": "120"}

    def __call__(self, *arguments: object, stdin: str = "", **environ: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "darkroom.cli.main", *map(str, arguments)],
            env=self.environ | environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def ok(self, *arguments: object, **more: str) -> str:
        """Its stdout; fails the test where the command fails."""
        done = self(*arguments, **more)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout


@pytest.fixture
def darkroom(tmp_path: Path) -> Iterator[Darkroom]:
    command = Darkroom(tmp_path / "home")
    yield command
    command("down")


@pytest.fixture
def photo_folder(tmp_path: Path) -> Callable[..., Path]:
    """``photo_folder(cat=3, dog=2)``: a folder of class folders with that many tiny photos."""
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")

    def make(**counts: int) -> Path:
        root = tmp_path / "photos"
        for shade, (name, count) in enumerate(counts.items(), start=1):
            (root / name).mkdir(parents=True)
            for number in range(count):
                pixels = numpy.full((40, 60, 3), 40 * shade + number, numpy.uint8)
                cv2.imwrite(str(root / name / f"{number}.jpg"), pixels)
        return root

    return make
