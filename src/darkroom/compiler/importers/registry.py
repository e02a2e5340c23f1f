"""Which framework a model folder is of, and who reads it. One table; what is not offered says why."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx

from darkroom.compiler.errors import CompileError, listing
from darkroom.compiler.importers import mxnet, openvino, pytorch
from darkroom.compiler.importers import onnx as onnx_files
from darkroom.compiler.inputs import Input

Importer = Callable[[Path, Sequence[Input]], onnx.ModelProto]

IMPORTERS: Mapping[str, Importer] = {
    "MXNET": mxnet.load,
    "ONNX": onnx_files.load,
    "PYTORCH": pytorch.load,
    "TENSORFLOW": openvino.load_frozen,
    "TFLITE": openvino.load_lite,
}

_AS_ONNX = "export it to ONNX (torch.onnx.export, tf2onnx …) and compile that with framework ONNX"
NOT_OFFERED: Mapping[str, str] = {
    "KERAS": f"there is no reader for it yet; {_AS_ONNX}",
    "DARKNET": f"there is no reader for it yet; {_AS_ONNX}",
    "XGBOOST": "it classifies tables, and what is compiled here classifies photos",
    "SKLEARN": "it classifies tables, and what is compiled here classifies photos",
}


def importer(framework: str, root: Path) -> tuple[str, Importer]:
    """(name, importer). "" finds out from the files. Raises CompileError."""
    name = framework.strip().upper() or _found(root)
    if name in IMPORTERS:
        return name, IMPORTERS[name]
    if name in NOT_OFFERED:
        raise CompileError(f"framework {name} is not offered yet: {NOT_OFFERED[name]}")
    raise CompileError(f"framework {framework!r} is not known; expected one of: {listing([*IMPORTERS, *NOT_OFFERED])}")


def _found(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    if any(name.endswith(".onnx") for name in names):
        return "ONNX"
    if any(name.endswith("symbol.json") for name in names):
        return "MXNET"
    if any(name.endswith(pytorch.SUFFIXES) for name in names):
        return "PYTORCH"
    if any(name.endswith(openvino.LITE) for name in names):
        return "TFLITE"
    if any(name.endswith(openvino.FROZEN) for name in names):
        return "TENSORFLOW"
    raise CompileError(f"the model is of no framework that is read here; it holds: {listing(names)}")
