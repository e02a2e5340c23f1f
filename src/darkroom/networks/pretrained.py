"""Files of pretrained weights: safetensors (torchvision's or timm's names) and MXNet's .params. What network they are
of, and how a fresh network starts from them. Every file is data: nothing in it is executed or unpickled.

The last layer starts anew, as in SageMaker's transfer learning; whatever else a file lacks does too, and is named.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from darkroom.formats import params
from darkroom.networks import timm_names
from darkroom.networks.architecture import PREACT_RESNET, Architecture, ArchitectureError
from darkroom.networks.catalogue import Net, classifier_of, empty
from darkroom.networks.mxnet import ArraysError, architecture_of, from_arrays
from darkroom.networks.planned import IMAGENET_MEAN, IMAGENET_STD, PlannedNet
from darkroom.networks.recognise import published

MAX_TENSORS = 10_000
WRAPPERS = ("module.", "model.")  # what training wrappers put before every key
HEAD_BYTES = 9
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_PARAMS_MAGIC = params.FILE_MAGIC.to_bytes(8, "little")
_SIZE = 224

State = Mapping[str, Tensor]


class WeightsError(ValueError):
    """The file holds no weights that a network here can start from; the message says why."""


@dataclass(frozen=True)
class Weights:
    """``tensors`` by the keys of the network's own state, the classifier's among them where the file has them;
    ``missing`` are the others that it lacks."""

    architecture: Architecture  # as in the file: its classes, 224 x 224
    tensors: State
    missing: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.architecture.title


def load(path: str | os.PathLike[str]) -> Weights:
    """Weights of a .safetensors or .params file. Raises WeightsError and OSError."""
    file = Path(path)
    try:
        with open(file, "rb") as opened:
            head = opened.read(HEAD_BYTES)
        if (suffix := suffix_of(head)) == ".params":
            return _of_arrays(params.load(file))
        if suffix == ".safetensors":
            return of_state(_safetensors(file))
    except (params.ParamsError, ArraysError, ArchitectureError, SafetensorError) as error:
        raise WeightsError(f"{file.name}: {error}") from error
    except WeightsError as error:
        raise WeightsError(f"{file.name}: {error}") from error
    if is_pytorch(head):
        raise WeightsError(f"{file.name} is a PyTorch file; bring it in with: darkroom weights add {file}")
    raise WeightsError(f"{file.name} is neither safetensors nor MXNet's .params; copy it again")


def suffix_of(head: bytes) -> str:
    """What a file that begins so should be called; empty where jobs do not read it."""
    if head[:8] == _PARAMS_MAGIC:
        return ".params"
    return ".safetensors" if head[8:9] == b"{" else ""  # a number of bytes, then JSON


def is_pytorch(head: bytes) -> bool:
    return not suffix_of(head) and head.startswith((_ZIP, _PICKLE))


def of_state(state: State) -> Weights:
    """Weights from a state dict with torchvision's or timm's keys, or MXNet's. Raises WeightsError."""
    if len(state) > MAX_TENSORS:
        raise WeightsError(f"it holds {len(state)} tensors, more than any network here")
    if any(name.startswith("arg:") for name in state):
        return _of_arrays({name: tensor.float().numpy() for name, tensor in state.items()})
    named = {_own_key(key): tensor for key, tensor in timm_names.as_torchvision(_unwrapped(state)).items()}
    found = published({key.replace(".", "_"): tuple(tensor.shape) for key, tensor in named.items()})
    if found is None:
        offered = "ResNet-18, 34, 50, 101, 152, MobileNetV2, SqueezeNet 1.1"
        shown = ", ".join(list(state)[:3]) or "no tensors at all"
        raise WeightsError(f"its tensors ({shown}, …) are those of no network offered here: {offered}")
    shape = (found.channels, _SIZE, _SIZE)
    return _fitting(Architecture(found.num_layers, found.num_classes or 1, shape, False, found.network), named)


def fill(net: Net, weights: Weights, mean: Iterable[float] = IMAGENET_MEAN, std: Iterable[float] = IMAGENET_STD) -> int:
    """Copy the weights into a fresh network of the same kind, but for its last layer; returns how many tensors.

    ``mean`` and ``std`` are what the weights expect of RGB in 0..1; the pre-activation ResNets bring their own. A
    network for grey images gets the sum of what the three colours had.
    """
    taken = 0
    last = net.get_submodule(classifier_of(net.architecture))
    with torch.no_grad():
        if isinstance(last, torch.nn.Linear):
            # zeros send nothing back at first: the new layer learns before random gradients reach what was learnt
            last.weight.zero_()
        for key, target in net.state_dict().items():
            if key in weights.tensors and not _starts_anew(key, net.architecture):
                target.copy_(_for_channels(weights.tensors[key], target))
                taken += 1
    if isinstance(net, PlannedNet):
        net.normalise_input(tuple(mean), tuple(std))
    return taken


def _safetensors(file: Path) -> dict[str, Tensor]:
    with safe_open(file, framework="pt") as opened:
        names = list(opened.keys())
        if len(names) > MAX_TENSORS:
            raise WeightsError(f"it holds {len(names)} tensors, more than any network here")
        return {name: opened.get_tensor(name) for name in names}


def _of_arrays(arrays: Mapping[str, params.AnyArray]) -> Weights:
    stem = next((arrays[name] for name in ("arg:conv0_weight", "arg:conv1_weight") if name in arrays), None)
    channels = stem.shape[1] if stem is not None and stem.ndim == 4 else 3
    architecture = architecture_of(arrays, (channels, _SIZE, _SIZE))
    tensors = from_arrays(arrays, architecture).state_dict()
    _check_finite(tensors)
    return Weights(architecture, tensors, ())


def _fitting(architecture: Architecture, named: State) -> Weights:
    expected = {key: tuple(t.shape) for key, t in empty(architecture).state_dict().items()}
    wanted = {key: shape for key, shape in expected.items() if not _starts_anew(key, architecture)}
    head = f"{classifier_of(architecture)}."
    unknown = [key for key in named if key not in expected and not key.endswith("num_batches_tracked")]
    if unknown:
        raise WeightsError(f"the {architecture.title} has no {', '.join(unknown[:3])} ({len(unknown)} unknown tensors)")
    for key, shape in wanted.items():
        if key in named and tuple(named[key].shape) != shape:
            raise WeightsError(f"{key} has the shape {tuple(named[key].shape)}, expected {shape}")
    classifier = [key for key in named if key.startswith(head) and tuple(named[key].shape) == expected.get(key)]
    tensors = {key: named[key] for key in [*wanted, *classifier] if key in named}
    if any(not tensor.is_floating_point() for tensor in tensors.values()):
        raise WeightsError("it holds whole numbers where weights should be; quantised weights cannot be trained")
    _check_finite(tensors)
    missing = tuple(key for key in wanted if key not in tensors)
    if len(missing) > len(wanted) / 2:
        raise WeightsError(f"it lacks {len(missing)} of the {len(wanted)} tensors of the {architecture.title}")
    return Weights(architecture, tensors, missing)


def _starts_anew(key: str, architecture: Architecture) -> bool:
    """Whether a fresh network has its own: the classifier, counters, and constants at the input."""
    constants = architecture.network != PREACT_RESNET and key.startswith("bn_data.")
    return constants or key.startswith(f"{classifier_of(architecture)}.") or key.endswith("num_batches_tracked")


def _check_finite(tensors: State) -> None:
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not math.isfinite(float(tensor.float().abs().sum())):
            raise WeightsError(f"{key} holds values that are no numbers")


def _unwrapped(state: State) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if state and all(key.startswith(wrapper) for key in state):
            return {key.removeprefix(wrapper): tensor for key, tensor in state.items()}
    return dict(state)


def _own_key(key: str) -> str:
    """``layer1.0.conv1.weight`` → ``layer1_0_conv1.weight``."""
    module, _, leaf = key.rpartition(".")
    return f"{module.replace('.', '_')}.{leaf}"


def _for_channels(tensor: Tensor, target: Tensor) -> Tensor:
    """Of a network for three colours, what one for grey images needs."""
    if tensor.shape == target.shape:
        return tensor
    if tensor.ndim == 4 and target.shape[1] == 1:
        return tensor.sum(dim=1, keepdim=True)
    if tensor.ndim == 1 and target.shape == (1,):
        return tensor.mean(dim=0, keepdim=True)
    raise WeightsError(f"a tensor has the shape {tuple(tensor.shape)}, expected {tuple(target.shape)}")
