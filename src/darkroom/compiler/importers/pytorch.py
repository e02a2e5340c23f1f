"""PyTorch's files as ONNX: TorchScript, archives of torch.export, and state dicts of networks that are known here.

All of them are programs or pickles, so each is looked over before torch opens it: state dicts are read as tensors and
nothing else; of TorchScript, whose code torch interprets, only calls that compute are let through. The only importer
that needs torch, and it is imported when such a model is compiled.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from darkroom.compiler.builder import OPSET
from darkroom.compiler.errors import CompileError, InputConfiguration, listing
from darkroom.compiler.importers.onnx import checked
from darkroom.compiler.importers.pytorch_scan import check_code, check_program
from darkroom.compiler.inputs import UNNAMED, Input

if TYPE_CHECKING:
    import torch

SUFFIXES = (".pt", ".pth", ".pt2", ".safetensors")
OUTPUT = "output"
INPUT_NORM, COUNTER = "bn_data.", "num_batches_tracked"  # ours, and what only training needs
FIRST_INPUT = "input0"  # SageMaker's name for what PyTorch does not name
NO_MEAN, NO_DEVIATION = (0.0,) * 3, (1 / 255,) * 3  # the network takes what its weights expect: nothing is folded in


def load(root: Path, inputs: Sequence[Input]) -> onnx.ModelProto:
    """Raises CompileError and InputConfiguration."""
    path, given = _find(root), _image(inputs)
    kind = _kind(path)
    try:
        module = _READERS[kind](path, given)
    except CompileError:
        raise
    except Exception as error:  # of torch's C++, by many names
        raise CompileError(f"{path.name} is no {kind} that torch can read: {_line(error)}") from error
    return _exported(module, given, path, kind)


def _find(root: Path) -> Path:
    found = sorted(path for path in root.iterdir() if path.is_file())
    models = [path for path in found if path.suffix in SUFFIXES]
    if len(models) != 1:
        raise InputConfiguration(
            f"expected one file of {', '.join(SUFFIXES)}, found {len(models)}; the model holds: "
            f"{listing(path.name for path in found)}"
        )
    return models[0]


def _image(inputs: Sequence[Input]) -> Input:
    (given,) = inputs
    return Input(FIRST_INPUT, given.shape) if given.name == UNNAMED else given


# What the file is -----------------------------------------------------------------------------------------------------

SCRIPT, EXPORTED, STATE = "TorchScript archive", "torch.export archive", "state dict"


def _kind(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return STATE
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    if "archive_format" in names:
        return EXPORTED
    return SCRIPT if any(name.startswith("code/") for name in names) else STATE


def _script(path: Path, given: Input) -> "torch.nn.Module":
    import torch  # noqa: PLC0415

    check_code(path)
    loaded: torch.nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return loaded.eval()


def _program(path: Path, given: Input) -> "torch.nn.Module":
    import torch  # noqa: PLC0415

    check_program(path)
    example = torch.zeros([extent or 1 for extent in given.shape])
    program = torch.export.load(str(path)).module()
    traced: torch.nn.Module = torch.jit.trace(program, example)  # type: ignore[no-untyped-call]
    return traced


def _network(path: Path, given: Input) -> "torch.nn.Module":
    """Weights alone: the network is recognised by the names and shapes of its tensors."""
    from darkroom.networks import catalogue, pretrained, pytorch_files  # noqa: PLC0415

    try:
        stored = pretrained.load(path) if path.suffix == ".safetensors" else None
        weights = stored or pretrained.of_state(pytorch_files.read(path))
    except (pretrained.WeightsError, OSError) as error:
        raise CompileError(f"{path.name}: {error}") from error
    channels, height, width = (extent or 0 for extent in given.shape[1:])
    architecture = replace(weights.architecture, image_shape=(channels, height, width))
    net = catalogue.build(architecture)
    pretrained.fill(net, weights, NO_MEAN, NO_DEVIATION)
    own = {key: tensor for key, tensor in net.state_dict().items() if not key.endswith(COUNTER)}
    missing = [key for key in own if key not in weights.tensors and not key.startswith(INPUT_NORM)]
    if missing:
        raise CompileError(f"{path.name} lacks {listing(missing)} of a {weights.title}; save the whole state dict")
    for key in own.keys() & weights.tensors.keys():  # the classifier too, which training would start anew
        own[key].copy_(weights.tensors[key])
    return net.eval()


_READERS = {SCRIPT: _script, EXPORTED: _program, STATE: _network}


# To ONNX --------------------------------------------------------------------------------------------------------------


def _exported(module: "torch.nn.Module", given: Input, path: Path, kind: str) -> onnx.ModelProto:
    import torch  # noqa: PLC0415

    buffer = io.BytesIO()
    example = torch.zeros([extent or 1 for extent in given.shape])
    settings: dict[str, Any] = {"dynamo": False, "opset_version": OPSET, "do_constant_folding": True}
    if given.shape[0] is None:
        settings["dynamic_axes"] = {given.name: {0: "batch"}, OUTPUT: {0: "batch"}}
    try:
        with torch.no_grad():
            names = {"input_names": [given.name], "output_names": [OUTPUT]}
            torch.onnx.export(module, (example,), buffer, **names, **settings)  # type: ignore[arg-type]
    except Exception as error:
        raise CompileError(
            f"{path.name}: this {kind} cannot be run on an input of {list(example.shape)}: {_line(error)}"
        ) from error
    return checked(buffer.getvalue(), [given], path.name)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
