"""A model folder as something to compile: the graph, what goes in and comes out, and how photos become its input.

The folder's own model-shapes.json and darkroom.txt are asked first, and held against what the request says.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from darkroom.compiler.errors import CompileError, InputConfiguration
from darkroom.compiler.importers.registry import importer
from darkroom.compiler.inputs import UNNAMED, Input, parse
from darkroom.imaging.preprocess import SQUASH, Preprocess
from darkroom.runtimes.artifact import Tensor

SHAPES, DETAILS = "model-shapes.json", "darkroom.txt"  # they travel with the compiled model
MAX_BYTES = 1 << 24  # of either

_EXAMPLE = '{"data": [1, 3, 224, 224]}'


@dataclass(frozen=True)
class Source:
    """``model`` takes float32 (batch, channels, height, width). ``preprocess``: of a model that takes photos, whose
    ``input`` is therefore uint8 (batch, height, width, channels)."""

    model: onnx.ModelProto
    framework: str
    input: Tensor
    output: Tensor
    preprocess: Preprocess | None
    companions: tuple[Path, ...]


def read(model_dir: Path, data_input_config: str | None, framework: str) -> Source:
    """Raises CompileError, its kind InputConfiguration, and OSError."""
    name, load = importer(framework, model_dir)
    model = load(model_dir, _inputs(model_dir / SHAPES, data_input_config))
    companions = tuple(model_dir / n for n in (SHAPES, DETAILS) if (model_dir / n).is_file())
    given, output = _tensor(model.graph.input[0]), _tensor(model.graph.output[0])
    if len(output.shape) != 2 or None in output.shape[1:]:
        raise CompileError(f"the model answers with {described(output)}; expected [batch, classes]")
    preprocess = _preprocess(model_dir / DETAILS, given) if companions else None
    if preprocess:
        given = Tensor(given.name, "uint8", (given.shape[0], preprocess.height, preprocess.width, preprocess.channels))
    return Source(model, name, given, output, preprocess, companions)


def described(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype} {list(tensor.shape)}".replace("None", "batch")


def _inputs(path: Path, data_input_config: str | None) -> tuple[Input, ...]:
    """The one input, at any batch: rows are independent, and one at a time is fastest. Labels, which some
    documentation names beside the data, are no inputs of inference."""
    own = _image_input(path)
    if data_input_config is None:
        if own is None:
            raise InputConfiguration(
                f"nothing says the shape of the model's input; expected DataInputConfig {_EXAMPLE}"
            )
        given = own
    else:
        inputs = [i for i in parse(data_input_config) if not i.name.endswith("_label")]
        if len(inputs) != 1:
            raise InputConfiguration(f"DataInputConfig names {len(inputs)} inputs; expected one, such as {_EXAMPLE}")
        given = inputs[0] if inputs[0].name != UNNAMED or own is None else replace(inputs[0], name=own.name)
    if own is not None and given.shape[1:] != own.shape[1:]:
        expected = f'{{"{own.name}": {[1, *own.shape[1:]]}}}'
        raise InputConfiguration(
            f"DataInputConfig says {list(given.shape)}, and {path.name} says that the model was trained on "
            f"{list(own.shape[1:])}; expected {expected}"
        )
    return (replace(given, shape=(None, *given.shape[1:])),)


def _image_input(path: Path) -> Input | None:
    """Of ``[{"shape": [64, 3, 224, 224], "name": "data"}]``, which the image-classification algorithm leaves."""
    if not path.is_file():
        return None
    inputs = parse(_text(path))
    if len(inputs) != 1:
        raise InputConfiguration(f"{path.name} names {len(inputs)} inputs; expected one")
    return inputs[0]


def _preprocess(path: Path, given: Tensor) -> Preprocess | None:
    """What the model records; for one made on AWS, what AWS's endpoint does. None for what takes no photos."""
    if len(given.shape) != 4 or given.shape[1] not in (1, 3):
        return None
    channels, height, width = (extent or 0 for extent in given.shape[1:])
    record = None
    try:
        if path.is_file():
            record = json.loads(_text(path))["preprocessing"]
        preprocess = Preprocess.from_dict(record) if record else Preprocess(height, width, channels, mode=SQUASH)
    except (ValueError, LookupError, RecursionError, TypeError) as error:
        raise CompileError(f"{path.name} is not readable: {error}; train the model again, or remove it") from error
    if (preprocess.channels, preprocess.height, preprocess.width) != (channels, height, width):
        raise CompileError(f"{path.name} records {preprocess}; the model takes {channels},{height},{width}")
    return preprocess


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise CompileError(f"{path.name} has {path.stat().st_size} bytes, more than any model's")
    return path.read_text("utf-8", "replace")


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    dims = value.type.tensor_type.shape.dim
    return Tensor(value.name, "float32", tuple(d.dim_value if d.HasField("dim_value") else None for d in dims))
