"""A trained model for use without Darkroom: the original files, the same network as ONNX, and a short script.

``predict.py`` needs onnxruntime and OpenCV alone. It prepares photos as the endpoint does, but for the last bits of
resizing, and is meant to be read and changed.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import onnx

from darkroom.compiler.errors import CompileError
from darkroom.compiler.importers.mxnet import find
from darkroom.compiler.source import DETAILS, SHAPES, Source, read
from darkroom.imaging.preprocess import SQUASH, Preprocess

MODEL, CLASSES, SCRIPT = "model.onnx", "classes.txt", "predict.py"
_SCRIPT = '''"""Say what is in photos: python predict.py PHOTO…  (pip install onnxruntime opencv-python-headless)"""
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

here = Path(__file__).parent
classes = (here / "{classes}").read_text(encoding="utf-8").splitlines()
session = onnxruntime.InferenceSession(here / "{model}")
for photo in sys.argv[1:]:
    image = cv2.imread(photo) if Path(photo).is_file() else None
    if image is None:
        sys.exit(f"{{photo}} is no photo that can be read")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2{mode})
    {resize}
    pixels = image.reshape({height}, {width}, {channels}).astype(np.float32)  # 0 … 255: the network normalises
    (probabilities,) = session.run(None, {{"{input}": pixels.transpose(2, 0, 1)[None]}})[0]
    best = int(probabilities.argmax())
    print(photo, classes[best], f"{{probabilities[best]:.4f}}", sep="\\t")
'''
_SQUASH = "image = cv2.resize(image, ({width}, {height}), interpolation=cv2.INTER_AREA)"
_CROP = """tall, wide = image.shape[:2]
    scale = {side}
    tall, wide = max({height}, int(tall * scale)), max({width}, int(wide * scale))
    image = cv2.resize(image, (wide, tall), interpolation=cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR)
    top, left = (tall - {height}) // 2, (wide - {width}) // 2
    image = image[top : top + {height}, left : left + {width}]"""


def export(model_dir: Path, folder: Path) -> list[Path]:
    """Write ``folder`` (new or empty), all or nothing; the files, in the order to look at them. Raises CompileError and
    OSError."""
    source = read(model_dir, None, "MXNET")
    if source.preprocess is None:
        raise CompileError(f"the model takes {list(source.input.shape)}, no photos: it is exported by hand")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as scratch:
        written = _write(model_dir, source, source.preprocess, Path(scratch))
        return [path.replace(folder / path.name) for path in written]


def _write(model_dir: Path, source: Source, preprocess: Preprocess, folder: Path) -> list[Path]:
    names = _class_names(model_dir / DETAILS, int(source.output.shape[1] or 0))
    (folder / CLASSES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    onnx.save(source.model, folder / MODEL)
    (folder / SCRIPT).write_text(script(preprocess, source.input.name), encoding="utf-8")
    kept = [path for path in (*find(model_dir), model_dir / SHAPES, model_dir / DETAILS) if path.is_file()]
    return [folder / MODEL, folder / CLASSES, folder / SCRIPT, *(Path(shutil.copy(p, folder)) for p in kept)]


def script(preprocess: Preprocess, data: str) -> str:
    """predict.py of a model whose input is called ``data``."""
    size = {"height": preprocess.height, "width": preprocess.width}
    if preprocess.mode == SQUASH:
        resize = _SQUASH.format(**size)
    else:
        sides = [f"{preprocess.height} / tall", f"{preprocess.width} / wide"]
        sides.insert(0, f"{preprocess.shorter_side} / min(tall, wide)" if preprocess.shorter_side else "1")
        resize = _CROP.format(**size, side=f"max({', '.join(sides)})")
    mode = "RGB" if preprocess.channels == 3 else "GRAY"
    return _SCRIPT.format(
        **size, resize=resize, mode=mode, channels=preprocess.channels, input=data, model=MODEL, classes=CLASSES
    )


def _class_names(path: Path, count: int) -> list[str]:
    """Of the model; their numbers where it has none."""
    record: Any = json.loads(path.read_text("utf-8", "replace")) if path.is_file() else {}
    names = record.get("classes") if isinstance(record, dict) else None
    if not isinstance(names, list) or len(names) != count:
        return [str(number) for number in range(count)]
    return [" ".join(str(name).splitlines()) for name in names]  # one line each
