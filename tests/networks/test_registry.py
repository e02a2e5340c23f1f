from pathlib import Path

import pytest

from darkroom.networks import registry
from darkroom.networks.architecture import Architecture
from darkroom.networks.registry import TABLE, published_for

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "weights.md"


def test_the_page_is_the_table():
    assert PAGE.read_text() == registry.page(), "run: python -m darkroom.networks.registry > docs/reference/weights.md"


@pytest.mark.parametrize("entry", TABLE.values(), ids=lambda entry: entry.name)
def test_every_entry_is_of_a_network_that_is_there(entry):
    assert Architecture.of(entry.num_layers, 1000, (3, 224, 224), entry.network).num_layers == entry.num_layers
    assert len(entry.sha256) in (0, 8, 64)
    assert entry.url.startswith("http")
    if entry.url.endswith(".pth"):
        assert entry.sha256[:8] in entry.file_name  # torchvision's own rule


def test_what_to_pull_for_a_job():
    assert [entry.name for entry in published_for(None, 18)] == ["resnet18", "preact_resnet18"]
    assert [entry.name for entry in published_for("mobilenet_v2", 152)] == ["mobilenet_v2"]
    assert published_for(None, 20) == ()
