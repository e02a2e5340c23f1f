"""PyTorch's own files (.pth, .pt) as tensors by name. They are pickles: read with ``weights_only``, which builds
tensors and plain containers and nothing else, after their archive was looked over, and meant for a process that may be
ended (``networks.bringing_in``).

No announced size is believed before it is held against the size of the file.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from darkroom.networks.pretrained import MAX_TENSORS, WeightsError

INSIDE = (
    "state_dict",
    "model",
    "model_state_dict",
    "state_dict_ema",
    "model_ema",
)  # where checkpoints keep the weights
ZIP_MAGIC = b"PK\x03\x04"
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
MAX_ENTRIES = 3 * MAX_TENSORS


def read(path: Path) -> dict[str, Tensor]:
    """Tensors of a state dict, or of a training checkpoint that holds one. Raises WeightsError and OSError."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        zipped = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    if zipped:
        _check_archive(path, size)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickle's protocols, beside the error that they lead to
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} holds more than tensors, and is not opened{_asked_for(error)}. Save the state dict alone, "
            "with torch.save(model.state_dict(), …), better still as safetensors"
        ) from error
    except OSError:
        raise
    except Exception as error:  # hostile pickles find every kind
        raise WeightsError(f"{path.name} is no PyTorch file that can be read: {_first_line(error)}") from error
    return _tensors(loaded, path, size)


def _check_archive(path: Path, size: int) -> None:
    """torch stores its tensors uncompressed; what is packed could unpack to anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise WeightsError(f"{path.name} is a damaged archive ({error}); copy it again") from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > size:
        raise WeightsError(f"{path.name} is an archive, but not one that torch.save writes")


def _tensors(loaded: object, path: Path, size: int) -> dict[str, Tensor]:
    found = loaded
    for name in INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path.name} holds a {type(found).__name__}, not a state dict")
    tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if len(tensors) > MAX_TENSORS:
        raise WeightsError(f"{path.name} holds {len(tensors)} tensors, more than any network here")
    for key, tensor in tensors.items():
        # several tensors may be views of few numbers: their sizes are not bounded by the file's unless this checks it
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise WeightsError(f"{path.name}: {key} is stored in a way ({tensor.layout}) that is not read here")
        size -= tensor.numel() * tensor.element_size()
        if size < 0:
            raise WeightsError(f"{path.name} announces larger tensors than it has bytes; copy it again")
    return {key: tensor.detach().contiguous().clone() for key, tensor in tensors.items()}


def _asked_for(error: pickle.UnpicklingError) -> str:
    """What the file would have run, where torch names it. No more of its words: they tell people to run it."""
    found = GLOBAL.search(str(error))
    return f": it asks for {found[1]}" if found else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
