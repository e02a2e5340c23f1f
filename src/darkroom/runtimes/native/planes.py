"""Where each tensor lies: one arena, in which a place is used again when nothing reads its tensor any more.

A tensor that convolutions read beyond its edge has a border, filled once with what stands for zero and written by none:
its place is used again only for tensors of the very same form. Places without a border take what fits. Behind the last
one is room for what kernels read, and do not use, beyond its end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native.layers import Convolution, Layer, Stored, reads, writes
from darkroom.runtimes.native.structures import FLOATS, LINE

MAX_BYTES = 1 << 30  # of the arena

Border = tuple[int, int, int, int]  # above, left, below, right
NO_BORDER: Border = (0, 0, 0, 0)


@dataclass(frozen=True)
class Form:
    """How a tensor lies in its place."""

    rows: int
    columns: int
    pixel: int  # bytes
    border: Border = NO_BORDER
    filled: int = 0

    @property
    def row(self) -> int:
        """Bytes from one row to the next."""
        return (self.border[1] + self.columns + self.border[3]) * self.pixel

    @property
    def size(self) -> int:
        return (self.border[0] + self.rows + self.border[2]) * self.row

    @property
    def first(self) -> int:
        """Where the first pixel behind the border begins."""
        return self.border[0] * self.row + self.border[1] * self.pixel


@dataclass(eq=False)  # two of one size are two
class _Place:
    size: int
    form: Form | None  # of one with a border
    offset: int = 0


@dataclass(frozen=True)
class Planes:
    """``forms`` and ``offsets``: of each tensor by its name; an offset is that of its first pixel."""

    forms: Mapping[str, Form]
    offsets: Mapping[str, int]
    size: int
    borders: Sequence[tuple[int, Form]]  # places to fill, from their very beginning

    def fill(self, arena: np.ndarray) -> None:
        for offset, form in self.borders:
            arena[offset : offset + form.size] = form.filled


def arrange(layers: Sequence[Layer]) -> Planes:
    """Raises Unsupported for more memory than a network has."""
    forms = _forms(layers)
    if any(form.size > MAX_BYTES for form in forms.values()):
        raise Unsupported("its tensors are larger than memory")
    places, taken = _places(layers, forms)
    size = 0
    for place in places:
        place.offset = size
        size += -(-place.size // LINE) * LINE
    if size > MAX_BYTES:
        raise Unsupported(f"its tensors take {size} bytes")
    offsets = {name: place.offset + forms[name].first for name, place in taken.items()}
    return Planes(forms, offsets, size + LINE, [(place.offset, place.form) for place in places if place.form])


def _forms(layers: Sequence[Layer]) -> dict[str, Form]:
    borders: defaultdict[str, Border] = defaultdict(lambda: NO_BORDER)
    for layer in layers:
        if isinstance(layer, Convolution):
            name = layer.input.name
            above, left, below, right = (max(pair) for pair in zip(borders[name], layer.window.pads, strict=True))
            borders[name] = above, left, below, right
    return {stored.name: _form(stored, borders[stored.name]) for layer in layers for stored in writes(layer)}


def _form(stored: Stored, border: Border) -> Form:
    filled = stored.border if border != NO_BORDER and stored.kind != FLOATS else 0
    return Form(stored.shape.rows, stored.shape.columns, stored.pixel, border, filled)


def _places(layers: Sequence[Layer], forms: Mapping[str, Form]) -> tuple[list[_Place], dict[str, _Place]]:
    """A tensor's place is free after the last layer that reads it: layers run one after the other."""
    last = {stored.name: k for k, layer in enumerate(layers) for stored in (*writes(layer), *reads(layer))}
    places: list[_Place] = []
    free: list[_Place] = []
    taken: dict[str, _Place] = {}
    for k, layer in enumerate(layers):
        for stored in writes(layer):
            place = _fitting(free, forms[stored.name])
            if place is None:
                place = _Place(0, forms[stored.name] if forms[stored.name].border != NO_BORDER else None)
                places.append(place)
            else:
                free.remove(place)
            place.size = max(place.size, forms[stored.name].size)
            taken[stored.name] = place
        done = dict.fromkeys(stored.name for stored in (*writes(layer), *reads(layer)) if last[stored.name] == k)
        free += [taken[name] for name in done]
    return places, taken


def _fitting(free: Iterable[_Place], form: Form) -> _Place | None:
    """The smallest that is large enough, else the largest, which grows."""
    if form.border != NO_BORDER:
        return next((place for place in free if place.form == form), None)
    plain = sorted((place for place in free if place.form is None), key=lambda place: place.size)
    return next((place for place in plain if place.size >= form.size), plain[-1] if plain else None)
