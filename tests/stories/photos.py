"""Real photos for the stories: the bundled Caltech-101 subset, packed the way each story's notebook expects it."""

import json
import shutil
from pathlib import Path

from darkroom.formats import folders

PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "photos"
UNSEEN = PHOTOS.parent / "unseen"


def classes(count: int) -> list[str]:
    return sorted(p.name for p in PHOTOS.iterdir() if p.is_dir())[:count]


def pack(folder: Path, names: list[str], train: str, validation: str) -> None:
    """Two .rec files of the named classes in ``folder``."""
    source = folder / "chosen"
    for name in names:
        shutil.copytree(PHOTOS / name, source / name)
    dataset = folders.scan(source)
    first, second = folders.split(dataset, validation=0.2, seed=1)
    assert not folders.pack(first, folder / train).skipped
    assert not folders.pack(second, folder / validation).skipped
    shutil.rmtree(source)


def unseen(name: str) -> Path:
    return sorted((UNSEEN / name).iterdir())[0]


def probabilities(text: str) -> list[float]:
    values: list[float] = json.loads(text)
    return values
