"""The model folder that becomes model.tar.gz: MXNet's files as the built-in algorithm leaves them, and darkroom.txt.

``image-classification-NNNN.params`` (NNNN: epochs done), ``image-classification-symbol.json`` and ``model-shapes.json``
are all that MXNet and AWS need, and all that is needed here: a model made on AWS has no ``darkroom.txt`` (JSON: class
names, how photos become pixels; named so because AWS's compiler takes any further .json for a second symbol). Every
file is data: nothing in a model is ever executed or unpickled.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from darkroom import __version__
from darkroom.formats import params
from darkroom.networks.architecture import ArchitectureError
from darkroom.networks.catalogue import Net
from darkroom.networks.mxnet import ArraysError, architecture_of, from_arrays, to_arrays
from darkroom.networks.symbol import to_json

PREFIX = "image-classification"
SYMBOL = f"{PREFIX}-symbol.json"
SHAPES = "model-shapes.json"
DETAILS = "darkroom.txt"
MAX_SIDE = 1 << 13  # pixels; photos of a larger network would not fit through an endpoint
MAX_JSON_BYTES = 1 << 24

_PARAMS = re.compile(r"(?P<prefix>.+)-(?P<epoch>[0-9]{4,})\.params")
_SINGLE_LABEL = {"SoftmaxOutput", "softmax", "SoftmaxActivation", "Softmax"}
_MULTI_LABEL = {"LogisticRegressionOutput", "sigmoid"}


class ArtifactError(ValueError):
    """The folder holds no model that can be served here; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Artifact:
    """A model in memory. ``classes`` and ``preprocessing`` are None for a model made on AWS."""

    net: Net  # in evaluation mode; outputs logits
    image_shape: tuple[int, int, int]
    num_layers: int  # 0 where the network has one size
    num_classes: int
    multi_label: bool  # probabilities are sigmoid(logits), else softmax(logits)
    epoch: int
    classes: tuple[str, ...] | None = None
    preprocessing: dict[str, Any] | None = None


def save(
    folder: str | os.PathLike[str],
    net: Net,
    *,
    epoch: int,
    batch_size: int,
    classes: Sequence[str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    multi_label: bool = False,
    keep_earlier: bool = False,
) -> Path:
    """Write the model as it is after ``epoch`` epochs (from 1); returns the .params file.

    A reader of the folder finds the earlier model or this one, whenever it looks: each file appears whole, and the
    earlier .params goes last (``keep_earlier``: never). Raises ValueError and OSError.
    """
    architecture = net.architecture
    if classes is not None and len(classes) != architecture.num_classes:
        raise ValueError(f"{len(classes)} class names for a network of {architecture.num_classes} classes")
    details = {
        "format": 1,
        "network": architecture.network,
        "num_layers": architecture.num_layers,
        "num_classes": architecture.num_classes,
        "image_shape": list(architecture.image_shape),
        "multi_label": multi_label,
        "classes": None if classes is None else list(classes),
        "preprocessing": None if preprocessing is None else dict(preprocessing),
        "versions": {"darkroom": __version__, "torch": torch.__version__},
    }
    root, latest = Path(folder), f"{PREFIX}-{epoch:04}.params"
    root.mkdir(parents=True, exist_ok=True)
    _write_text(root / SYMBOL, to_json(architecture, multi_label=multi_label))
    _write_text(root / SHAPES, json.dumps([{"shape": [batch_size, *architecture.image_shape], "name": "data"}]))
    _write_text(root / DETAILS, json.dumps(details, indent=2, ensure_ascii=False) + "\n")
    arrays = to_arrays(net)
    _write(root / latest, lambda file: params.write(file, arrays))
    if not keep_earlier:
        for path in root.glob(f"{PREFIX}-*.params"):
            if path.name != latest:
                path.unlink()
    return root / latest


def load(folder: str | os.PathLike[str]) -> Artifact:
    """The model of the highest epoch in the folder, made here or on AWS. Raises ArtifactError and OSError."""
    root = Path(folder)
    path, prefix, epoch = _latest_params(root)
    image_shape = _image_shape(root / SHAPES)
    try:
        arrays = params.load(path)
        architecture = architecture_of(arrays, image_shape)
        net = from_arrays(arrays, architecture)
    except params.ParamsError as error:
        raise ArtifactError(f"{path.name}, byte {error.offset}: {error.reason}") from error
    except (ArraysError, ArchitectureError) as error:
        raise ArtifactError(f"{path.name}: {error}") from error
    details = _details(root / DETAILS, architecture.num_classes)
    return Artifact(
        net,
        image_shape,
        architecture.num_layers,
        architecture.num_classes,
        multi_label=_multi_label(path.with_name(f"{prefix}-symbol.json")),
        epoch=epoch,
        classes=details.classes,
        preprocessing=details.preprocessing,
    )


@dataclass(frozen=True)
class _Details:
    classes: tuple[str, ...] | None = None
    preprocessing: dict[str, Any] | None = None


def _details(path: Path, num_classes: int) -> _Details:
    if not path.exists():
        return _Details()
    record = _read_json(path)
    if not isinstance(record, dict):
        raise ArtifactError(f"{path.name} is not a JSON object; train the model again, or remove the file")
    classes, preprocessing = record.get("classes"), record.get("preprocessing")
    if classes is not None and not _are_names(classes, num_classes):
        raise ArtifactError(f"{path.name} does not name the {num_classes} classes of the model; correct its 'classes'")
    if preprocessing is not None and not isinstance(preprocessing, dict):
        raise ArtifactError(f"{path.name}: 'preprocessing' is not a JSON object; train the model again")
    return _Details(None if classes is None else tuple(classes), preprocessing)


def _are_names(classes: object, count: int) -> bool:
    return isinstance(classes, list) and len(classes) == count and all(isinstance(name, str) for name in classes)


def _latest_params(root: Path) -> tuple[Path, str, int]:
    """The file, and the prefix and the epoch in its name."""
    found = [(path, match) for path in root.iterdir() if (match := _PARAMS.fullmatch(path.name)) and path.is_file()]
    if not found:
        names = ", ".join(sorted(path.name for path in root.iterdir())[:5]) or "nothing"
        raise ArtifactError(f"the model archive holds no {PREFIX}-NNNN.params file (it holds: {names})")
    path, match = max(found, key=lambda item: (item[1]["prefix"] == PREFIX, int(item[1]["epoch"]), item[0].name))
    return path, match["prefix"], int(match["epoch"])


def _image_shape(path: Path) -> tuple[int, int, int]:
    """Of ``[{"shape": [batch, channels, height, width], "name": "data"}]``."""
    entries = _read_json(path)
    entry = entries[-1] if isinstance(entries, list) and entries else None
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(n) is int and n > 0 for n in shape):
        expected = '[{"shape": [batch, channels, height, width], "name": "data"}]'
        raise ArtifactError(f"{path.name} does not say {expected}")
    _, channels, height, width = shape
    if max(height, width) > MAX_SIDE:
        raise ArtifactError(
            f"{path.name} asks for images of {height}x{width}; at most {MAX_SIDE} pixels a side are served"
        )
    return channels, height, width


def _multi_label(path: Path) -> bool:
    """By the output the symbol ends in; which one AWS uses for several labels is not published."""
    graph = _read_json(path)
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list):
        raise ArtifactError(f"{path.name} is no MXNet graph: it has no list of nodes")
    operations = {str(node.get("op")) for node in nodes if isinstance(node, dict)}
    if operations & _SINGLE_LABEL:
        return False
    if operations & _MULTI_LABEL:
        return True
    known = ", ".join(sorted(_SINGLE_LABEL | _MULTI_LABEL))
    raise ArtifactError(f"{path.name} ends in no output known here ({known})")


def _read_json(path: Path) -> object:
    if not path.is_file():
        raise ArtifactError(f"the model archive holds no {path.name}")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ArtifactError(f"{path.name} has {path.stat().st_size} bytes, more than any model's")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # not text, not JSON, or nested without end
        raise ArtifactError(f"{path.name} is not readable as JSON: {error}") from error


def _write_text(path: Path, text: str) -> None:
    _write(path, lambda file: file.write(text.encode()))


def _write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """The file appears under its name when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            fill(file)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
