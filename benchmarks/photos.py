"""Photos to measure data paths with: the folder of sample data where there is one, else those of the examples."""

import os
from pathlib import Path

from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter
from darkroom.im2rec.command import main as im2rec

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DARKROOM_SHARED", ROOT.parent / "shared")) / "data"
SMALLEST_BYTES = 25_000  # thumbnails say little of photos


def found() -> list[Path]:
    """Photos of people's sizes, about 500 x 375."""
    folder = SHARED / "imagenet_samples"
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    large = [path for path in photos if path.stat().st_size >= SMALLEST_BYTES]
    return large or sorted((ROOT / "examples").rglob("*.jpg"))


def copies(folder: Path, count: int) -> Path:
    """A folder of ``count`` files, the photos over and over."""
    photos = [path.read_bytes() for path in found()]
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(photos[number % len(photos)])
    return folder


def full_size(folder: Path, count: int) -> Path:
    """A .rec of the photos as they are."""
    photos = [path.read_bytes() for path in found()]
    with RecordWriter(folder / "full.rec") as writer:
        for number in range(count):
            writer.write(pack_image(ImageHeader([number % 10], number), photos[number % len(photos)]), number)
    return folder / "full.rec"


def of_256(folder: Path, count: int) -> Path:
    """A .rec of the photos at 256 pixels and quality 90."""
    root = copies(folder / "photos", count)
    prefix = str(folder / "small")
    im2rec(["--list", prefix, str(root)])
    im2rec(["--resize", "256", "--quality", "90", "--num-thread", "2", prefix, str(root)])
    return folder / "small.rec"
