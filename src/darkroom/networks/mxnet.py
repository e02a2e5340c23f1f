"""Networks as MXNet's named arrays and back: ``arg:`` learned values, ``aux:`` moving statistics, in symbol order.

Knows names and shapes; files are for ``formats.params`` and ``networks.artifact``.

Two things are MXNet's own: ``bn_data_gamma`` counts as 1 whatever a file says (fix_gamma), and its moving variances
average biased variances where torch's are unbiased (by n/(n-1), n = batch x height x width). Evaluation is the same.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from darkroom.networks.architecture import DEPTHS, PREACT_RESNET, Architecture
from darkroom.networks.catalogue import Net, empty
from darkroom.networks.recognise import published

CLASSIFIER = "fc1"  # AWS's own files also say "fc" and "newlayer_fc2" after transfer learning

Arrays = Mapping[str, np.ndarray]

_NORM = {
    "weight": "arg:{}_gamma",
    "bias": "arg:{}_beta",
    "running_mean": "aux:{}_moving_mean",
    "running_var": "aux:{}_moving_var",
}
_PLAIN = {"weight": "arg:{}_weight", "bias": "arg:{}_bias"}
_UNIT = re.compile(r"arg:stage([1-4])_unit([1-9][0-9]?)_conv1_weight")


class ArraysError(ValueError):
    """The arrays are not those of a network built here; the message names what is missing, odd or too many."""


def to_arrays(net: Net) -> dict[str, np.ndarray]:
    """float32 arrays, ``arg:`` in the order of the symbol's arguments, then ``aux:``."""
    arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in _named_tensors(net)}
    return dict(sorted(arrays.items(), key=lambda item: item[0].startswith("aux:")))  # a stable sort


def architecture_of(arrays: Arrays, image_shape: tuple[int, int, int]) -> Architecture:
    """Which network the arrays are of; ``image_shape`` is not in them. Raises ArraysError, ArchitectureError."""
    if found := published({name.removeprefix("arg:"): array.shape for name, array in arrays.items()}):
        _check_channels(found.channels, image_shape)
        return Architecture(found.num_layers, found.num_classes, image_shape, False, found.network)
    units = _units(arrays)
    bottleneck = "arg:stage1_unit1_conv3_weight" in arrays
    _, channels, kernel, _ = _shape(arrays, "arg:conv0_weight", 4)
    _check_channels(channels, image_shape)
    num_classes = _shape(arrays, f"arg:{_classifier(arrays)}_weight", 2)[0]
    for depth in DEPTHS:
        architecture = Architecture(depth, max(num_classes, 1), image_shape, small_stem=kernel == 3)
        if (architecture.units, architecture.bottleneck) == (units, bottleneck):
            return architecture
    kind = "bottleneck" if bottleneck else "basic"
    raise ArraysError(f"stages of {units} {kind} units are no network of this algorithm; its depths are {DEPTHS}")


def _check_channels(channels: int, image_shape: tuple[int, int, int]) -> None:
    if channels != image_shape[0]:
        raise ArraysError(f"the model takes {channels} channel(s), but its shapes file says {image_shape}")


def from_arrays(arrays: Arrays, architecture: Architecture) -> Net:
    """The network with these values, in evaluation mode. Raises ArraysError where names, shapes or types do not fit."""
    net = empty(architecture)
    expected = dict(_named_tensors(net))
    if architecture.network == PREACT_RESNET:
        classifier = _classifier(arrays)
        expected = {name.replace(f":{CLASSIFIER}_", f":{classifier}_"): tensor for name, tensor in expected.items()}
    _check_names(set(arrays), set(expected), architecture)
    values = {name: _value(name, arrays[name], tuple(tensor.shape)) for name, tensor in expected.items()}
    state = {key: values[name] for key, name in zip(_keys(net), expected, strict=True)}
    counters = {key: torch.tensor(0) for key in net.state_dict() if key not in state}
    net.load_state_dict(state | counters, assign=True)
    net.bn_data.weight = torch.nn.Parameter(torch.ones(architecture.image_shape[0]), requires_grad=False)
    return net.eval()


def _keys(net: Net) -> list[str]:
    """Keys of the state that MXNet has too."""
    return [key for key in net.state_dict() if not key.endswith("num_batches_tracked")]


def _named_tensors(net: Net) -> Iterator[tuple[str, torch.Tensor]]:
    state = net.state_dict()
    for key in _keys(net):
        module, _, leaf = key.rpartition(".")
        forms = _NORM if isinstance(net.get_submodule(module), torch.nn.BatchNorm2d) else _PLAIN
        yield forms[leaf].format(module.replace(".", "_")), state[key]


def _classifier(arrays: Arrays) -> str:
    """Name of the one layer with a matrix."""
    names = [name for name, array in arrays.items() if array.ndim == 2 and name.endswith("_weight")]
    if len(names) != 1 or not names[0].startswith("arg:"):
        raise ArraysError(f"expected one fully connected layer, found {len(names)}: {', '.join(names[:3]) or 'none'}")
    return names[0].removeprefix("arg:").removesuffix("_weight")


def _units(arrays: Arrays) -> tuple[int, ...]:
    found = [match for name in arrays if (match := _UNIT.fullmatch(name))]
    stages = [sum(int(match[1]) == stage for match in found) for stage in range(1, 5)]
    return tuple(stages if stages[3] else stages[:3])


def _shape(arrays: Arrays, name: str, dimensions: int) -> tuple[int, ...]:
    if name not in arrays or arrays[name].ndim != dimensions:
        raise ArraysError(f"there is no array {name} of {dimensions} dimensions: no network of this algorithm")
    return arrays[name].shape


def _check_names(found: set[str], expected: set[str], architecture: Architecture) -> None:
    for names, what in ((expected - found, "lacks"), (found - expected, "has the unknown")):
        if names:
            listed = ", ".join(sorted(names)[:3])
            raise ArraysError(f"the {architecture.title} {what} {len(names)} array(s): {listed}")


def _value(name: str, array: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    if array.shape != shape:
        raise ArraysError(f"the array {name} has the shape {array.shape}, expected {shape}")
    if array.dtype.kind != "f":
        raise ArraysError(f"the array {name} holds {array.dtype}, expected floating point numbers")
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))  # a copy: the file is a read-only map
