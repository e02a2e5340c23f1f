"""timm's names of MobileNetV2's layers, and torchvision's. (Their ResNets have the same names.)"""

from collections.abc import Mapping
from typing import TypeVar

from darkroom.networks.plan import INVERTED_RESIDUALS

Tensor = TypeVar("Tensor")
_FIRST = {"conv_dw": "conv.0.0", "bn1": "conv.0.1", "conv_pw": "conv.1", "bn2": "conv.2"}
_OTHERS = {
    **{"conv_pw": "conv.0.0", "bn1": "conv.0.1", "conv_dw": "conv.1.0", "bn2": "conv.1.1"},
    **{"conv_pwl": "conv.2", "bn3": "conv.3"},
}


def as_torchvision(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict with torchvision's keys where it is timm's MobileNetV2, else as it is."""
    if "conv_stem.weight" not in state:
        return state
    table = _table()
    renamed = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        renamed[f"{table.get(module, module)}.{leaf}"] = tensor
    return renamed


def _table() -> dict[str, str]:
    """Modules of timm → of torchvision."""
    table = {"conv_stem": "features.0.0", "bn1": "features.0.1", "classifier": "classifier.1"}
    block = 0
    for stage, (_, _, count, _) in enumerate(INVERTED_RESIDUALS):
        for number in range(count):
            block += 1
            layers = _FIRST if stage == 0 else _OTHERS
            table |= {f"blocks.{stage}.{number}.{ours}": f"features.{block}.{its}" for ours, its in layers.items()}
    return table | {"conv_head": f"features.{block + 1}.0", "bn2": f"features.{block + 1}.1"}
