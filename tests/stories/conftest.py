"""One server for all stories; the documents they follow, where they are at hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.networks.architecture import RESNET
from darkroom.testing.live_server import LiveServer, live_server
from tests.networks.published import publish

SHARED = Path(os.environ.get("DARKROOM_SHARED", Path(__file__).resolve().parents[3] / "shared"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    home = tmp_path_factory.mktemp("home")
    (home / "weights").mkdir()  # notebooks ask for transfer learning; its worth is measured elsewhere
    publish(home / "weights" / "resnet18.safetensors", RESNET, 18)
    with live_server(home, DARKROOM_MAX_TRAINING_JOBS="1") as running:
        yield running


@pytest.fixture
def seed() -> "SeedFinder":
    return SeedFinder()


class SeedFinder:
    """Published notebooks by number; a test that needs one skips where they are absent."""

    def __call__(self, number: str) -> Path:
        found = sorted((SHARED / "seeds").glob(f"{number}_*.txt"))
        if not found:
            pytest.skip(f"the text of notebook {number} is not at hand ({SHARED / 'seeds'})")
        return found[0]
