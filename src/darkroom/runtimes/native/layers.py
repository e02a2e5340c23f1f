"""A network as a list of layers, each with what becomes of its sums before they are written: no graph, no memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from darkroom.runtimes.native.structures import BYTES, FLOATS, LANES, LIMITS, WIDTHS

MAX_SUM = (1 << 31) - 1  # what 32 bits hold


@dataclass(frozen=True)
class Shape:
    channels: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Levels:
    """What a byte or a short stands for: value = scale · (byte - zero). ``bounds``: of shorts that do not use all."""

    kind: int
    scale: float
    zero: int
    bounds: tuple[int, int] | None = None

    @property
    def limits(self) -> tuple[int, int]:
        return self.bounds or LIMITS[self.kind]

    def most(self, weight: np.ndarray) -> int:
        """How far from zero a sum can be of anything here with weights (outputs, …) of whole numbers."""
        low, high = self.limits
        flat = weight.reshape(len(weight), -1)
        above = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
        below = np.minimum(flat, 0).sum(axis=1, dtype=np.int64)
        return int(max((above * high + below * low).max(), -(above * low + below * high).min()))


@dataclass(frozen=True)
class Stored:
    """A tensor as it lies in memory. ``levels`` None: in float32. ``group``: what channels are padded to."""

    name: str
    shape: Shape
    levels: Levels | None = None
    group: int = LANES

    @property
    def kind(self) -> int:
        return self.levels.kind if self.levels else FLOATS

    @property
    def padded(self) -> int:
        return -(-self.shape.channels // self.group) * self.group

    @property
    def pixel(self) -> int:
        """Bytes."""
        return self.padded * WIDTHS[self.kind]

    @property
    def border(self) -> int:
        """The byte that stands for zero."""
        return self.levels.zero if self.levels and self.kind == BYTES else 0


@dataclass(frozen=True, eq=False)
class Affine:
    """value · scale + shift, between ``low`` and ``high``; float64, one for each channel."""

    scale: np.ndarray
    shift: np.ndarray
    low: float = -inf
    high: float = inf

    def then(self, scale: np.ndarray | float, shift: np.ndarray | float) -> "Affine":
        """Only where there are no bounds yet, or ``scale`` and ``shift`` are one positive number each."""
        low, high = (bound if abs(bound) == inf else float(bound * scale + shift) for bound in (self.low, self.high))
        return Affine(self.scale * scale, self.shift * scale + shift, low, high)

    def in_levels(self, levels: Levels) -> "Affine":
        changed = self.then(1 / levels.scale, levels.zero)
        least, most = levels.limits
        return replace(changed, low=max(changed.low, least), high=min(changed.high, most))


@dataclass(frozen=True, eq=False)
class Write:
    """``answer``: it is what the network answers, and lies where the call says."""

    stored: Stored
    affine: Affine
    answer: bool = False


@dataclass(frozen=True)
class Rounding:
    """A sum that goes through bytes before something is added to it."""

    levels: Levels
    positive: bool = False  # nothing below zero is left

    @property
    def bounds(self) -> tuple[int, int]:
        low, high = (limit - self.levels.zero for limit in self.levels.limits)
        return max(low, 0) if self.positive else low, high


@dataclass(frozen=True, eq=False)
class Ending:
    """What becomes of a sum, in this order. ``through``: the second is written of what the first has rounded."""

    affine: Affine
    writes: Sequence[Write]
    rounding: Rounding | None = None
    other: Stored | None = None
    least: float = -inf
    through: bool = False


@dataclass(frozen=True)
class Window:
    """``pads``: above, left, below, right."""

    rows: int
    columns: int
    down: int = 1
    right: int = 1
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Photo:
    """``table``: uint8 or int16 (channels, 256)."""

    shape: Shape
    table: np.ndarray
    into: Stored


@dataclass(frozen=True, eq=False)
class Convolution:
    """``weight``: (outputs, channels, rows, columns); int8 for bytes, int16 for shorts, float32 for floats.

    ``alone``: each channel has a window of its own, and the weights' second extent is 1. Shorts take float32 then.
    """

    input: Stored
    weight: np.ndarray
    window: Window
    shape: Shape
    ending: Ending
    alone: bool = False


@dataclass(frozen=True, eq=False)
class Largest:
    input: Stored
    window: Window
    into: Stored


@dataclass(frozen=True, eq=False)
class Mean:
    """Over all pixels."""

    input: Stored
    ending: Ending
    shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", Shape(self.input.shape.channels, 1, 1))


Layer = Photo | Convolution | Largest | Mean


def reads(layer: Layer) -> list[Stored]:
    if isinstance(layer, Photo):
        return []
    other = None if isinstance(layer, Largest) else layer.ending.other
    return [layer.input, *([other] if other else [])]


def writes(layer: Layer) -> list[Stored]:
    """What it writes, but for the answer."""
    if isinstance(layer, Photo | Largest):
        return [layer.into]
    return [write.stored for write in layer.ending.writes if not write.answer]


def share_in_float(layers: Sequence[Layer]) -> float:
    """Of all products those of float32, padding included."""
    floats = total = 0
    for layer in layers:
        if isinstance(layer, Convolution):
            rows, columns = layer.weight.shape[2:]
            inputs = 1 if layer.alone else layer.input.padded
            products = layer.shape.rows * layer.shape.columns * layer.shape.channels * inputs * rows * columns
            total += products
            floats += products if layer.input.kind == FLOATS else 0
    return floats / max(total, 1)
