"""The notebook that we hand out ourselves, with the SDK it is written for."""

import json
import re
import shutil
from pathlib import Path

import pytest

from darkroom.testing.live_server import LiveServer
from tests.clients.environments import python_of
from tests.stories import notebooks, photos

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]
EXAMPLES = photos.PHOTOS.parent
NOTEBOOK = Path("notebooks", "quickstart.ipynb")


def test_the_quickstart_notebook_runs_with_sdk_2(server: LiveServer, tmp_path: Path) -> None:
    for name in ("photos", "unseen"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    story = json.loads((EXAMPLES / NOTEBOOK).read_text())["cells"]
    cells = ["".join(cell["source"]) for cell in story if cell["cell_type"] == "code"]
    outputs = notebooks.run(cells, python_of("sdk2"), tmp_path / "notebooks", server.environment(sdk=2), seconds=800)
    said = "\n".join(outputs)
    found = re.search(r"(\d+) of (\d+) right", said)
    assert found is not None, said
    assert int(found[1]) > int(found[2]) / 2, "far above the sixth that guessing gets right"
    assert outputs[-2].strip("'\n") in photos.classes(6)


def test_no_output_of_ours_is_handed_out() -> None:
    story = json.loads((EXAMPLES / NOTEBOOK).read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in story)
