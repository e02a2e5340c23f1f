"""Layers as the steps of ``network.h``: what they compute with is packed once, where their tensors lie differs for each
context that runs them."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import folding, planes
from darkroom.runtimes.native.layers import MAX_SUM, Convolution, Largest, Layer, Mean, Photo, Stored, Window, Write
from darkroom.runtimes.native.memory import Memory
from darkroom.runtimes.native.packing import WORD, Pack, rest_of, run_of, whole_vectors
from darkroom.runtimes.native.planes import Form, Planes
from darkroom.runtimes.native.structures import (
    BYTES,
    CONVOLUTION,
    DEPTHWISE,
    FLOATS,
    GROUPS,
    LANES,
    LARGEST,
    MEAN,
    MOST_REST,
    PHOTO,
    Epilogue,
    Other,
    Output,
    Step,
)

MAX_PACKED = 1 << 31  # bytes
MAX_LEVEL = 1 << 31  # what is rounded is a whole number of 32 bits before it saturates


@dataclass(frozen=True, eq=False)
class Numbers:
    """Where what an ending computes with lies among what is packed; None: nowhere."""

    scale: int
    shift: int
    least: int | None
    first: tuple[int, int] | None
    second: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Packed:
    """A layer and where its numbers lie."""

    layer: Layer
    weights: int = 0
    ending: folding.Folded | None = None
    numbers: Numbers | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """``memory``: weights and numbers, for all contexts. ``matrices``: whether the processor's are used."""

    layers: Sequence[Packed]
    memory: Memory
    planes: Planes
    matrices: bool

    def arena(self) -> Memory:
        """Tensors of one context, their borders filled."""
        arena = Memory(self.planes.size)
        self.planes.fill(arena.bytes)
        return arena

    def steps(self, arena: Memory) -> "ctypes.Array[Step]":
        kinds = {Photo: self._photo, Convolution: self._convolution, Largest: self._largest, Mean: self._mean}
        call: Any
        found = (Step * len(self.layers))()
        for k, packed in enumerate(self.layers):
            call = kinds[type(packed.layer)]
            found[k] = call(packed, arena.address)
        return found

    def _photo(self, packed: Packed, arena: int) -> Step:
        layer = packed.layer
        assert isinstance(layer, Photo)
        return Step(
            kind=PHOTO,
            rows=layer.shape.rows,
            columns=layer.shape.columns,
            vectors=1,
            table=self.memory.address + packed.weights,
            channels=layer.shape.channels,
            end=Epilogue(first=self._output(layer.into, arena)),
        )

    def _convolution(self, packed: Packed, arena: int) -> Step:
        layer = packed.layer
        assert isinstance(layer, Convolution)
        form = self.planes.forms[layer.input.name]
        window, above, left = layer.window, layer.window.pads[0], layer.window.pads[1]
        return Step(
            kind=DEPTHWISE if layer.alone else CONVOLUTION,
            rows=layer.shape.rows,
            columns=layer.shape.columns,
            vectors=whole_vectors(layer.shape.channels),
            input=self._address(layer.input, arena) - above * form.row - left * form.pixel,
            input_row=window.down * form.row,
            input_pixel=window.right * form.pixel,
            window_row=form.row,
            window_pixel=form.pixel,
            window=window.rows,
            **_words(layer, self.matrices),
            input_type=layer.input.kind,
            **_edges(window, form),
            weights=self.memory.address + packed.weights,
            end=self._epilogue(packed, arena),
        )

    def _largest(self, packed: Packed, arena: int) -> Step:
        layer = packed.layer
        assert isinstance(layer, Largest)
        form = self.planes.forms[layer.input.name]
        return Step(
            kind=LARGEST,
            rows=layer.into.shape.rows,
            columns=layer.into.shape.columns,
            vectors=layer.into.padded // LANES,
            **self._pixels(layer.input, arena),
            input_row=layer.window.down * form.row,
            input_pixel=layer.window.right * form.pixel,
            window=layer.window.rows,
            run=layer.window.columns,
            input_rows=form.rows,
            input_columns=form.columns,
            top=-layer.window.pads[0],
            left=-layer.window.pads[1],
            stride_down=layer.window.down,
            stride_right=layer.window.right,
            end=Epilogue(first=self._output(layer.into, arena)),
        )

    def _mean(self, packed: Packed, arena: int) -> Step:
        layer = packed.layer
        assert isinstance(layer, Mean)
        form = self.planes.forms[layer.input.name]
        return Step(
            kind=MEAN,
            rows=1,
            columns=1,
            vectors=layer.input.padded // LANES,
            **self._pixels(layer.input, arena),
            window=form.rows,
            run=form.columns,
            end=self._epilogue(packed, arena),
        )

    def _pixels(self, stored: Stored, arena: int) -> dict[str, int]:
        """Where a window that looks at single pixels finds them."""
        form = self.planes.forms[stored.name]
        return {
            "input": self._address(stored, arena),
            "window_row": form.row,
            "window_pixel": form.pixel,
            "input_type": stored.kind,
        }

    def _epilogue(self, packed: Packed, arena: int) -> Epilogue:
        ending, numbers = packed.ending, packed.numbers
        assert ending is not None
        assert numbers is not None
        found = Epilogue(
            scale=self.memory.address + numbers.scale,
            shift=self.memory.address + numbers.shift,
            least=None if numbers.least is None else self.memory.address + numbers.least,
            first=self._written(ending.first, numbers.first, arena),
            second_of_first=ending.through,
        )
        if ending.rounded:
            found.rounds = 1
            found.low, found.high, found.step = ending.rounded.low, ending.rounded.high, ending.rounded.step
        if ending.added:
            stored = ending.added.stored
            form = self.planes.forms[stored.name]
            address = self._address(stored, arena)
            found.other = Other(address, form.row, form.pixel, ending.added.scale, ending.added.shift, stored.kind)
        if ending.second:
            found.second = self._written(ending.second, numbers.second, arena)
        return found

    def _written(self, write: Write, numbers: tuple[int, int] | None, arena: int) -> Output:
        least, most = write.stored.levels.limits if write.stored.levels else (-inf, inf)
        output = Output(type=FLOATS) if write.answer else self._output(write.stored, arena)
        output.low, output.high = max(write.affine.low, least), min(write.affine.high, most)
        if numbers:
            output.scale, output.shift = (self.memory.address + place for place in numbers)
        return output

    def _output(self, stored: Stored, arena: int) -> Output:
        form = self.planes.forms[stored.name]
        return Output(self._address(stored, arena), form.row, form.pixel, type=stored.kind)

    def _address(self, stored: Stored, arena: int) -> int:
        return arena + self.planes.offsets[stored.name]


def _words(layer: Convolution, matrices: bool) -> dict[str, int]:
    """Of a row of the window, and of what all its rows leave over."""
    columns, channels = layer.window.columns, layer.input.padded
    if layer.alone:
        return {"run": columns}
    if _gathers_rest(layer, matrices):
        return {"run": columns * channels // WORD, "rest": rest_of(layer.window.rows)}
    return {"run": run_of(columns, channels, GROUPS[layer.input.kind])}


def _gathers_rest(layer: Convolution, matrices: bool) -> bool:
    """Whether several rows of the window have a byte each behind whole words: 7 or 3 pixels of a photo.

    Matrices multiply whole words.
    """
    window, pixel = layer.window, layer.input.padded
    fits = 1 < window.rows <= MOST_REST and max(window.down, window.right * pixel) <= MOST_REST
    return not matrices and layer.input.kind == BYTES and fits and window.columns * pixel % WORD == 1


def _edges(window: Window, form: Form) -> dict[str, int]:
    """Where zeros begin, that need not be multiplied. What stands for zero may be another byte, and kernels leave out
    words of whole vectors only."""
    known, whole = form.filled == 0, form.pixel % LANES == 0
    return {
        "input_rows": form.rows if known else 0,
        "input_columns": form.columns if known and whole else 0,
        "top": -window.pads[0],
        "left": -window.pads[1],
        "stride_down": window.down,
        "stride_right": window.right,
    }


def make(layers: Sequence[Layer], matrices: bool = False) -> Plan:
    """Packs, for the processor's matrices or without them. Raises Unsupported."""
    arranged = planes.arrange(layers)
    pack = Pack()
    packed = [_packed(pack, layer, matrices) for layer in layers]
    if pack.size > MAX_PACKED:
        raise Unsupported(f"its weights take {pack.size} bytes")
    return Plan(packed, pack.lay(), arranged, matrices)


def _packed(pack: Pack, layer: Layer, matrices: bool) -> Packed:
    if isinstance(layer, Photo):
        return Packed(layer, pack.array(layer.table))
    if isinstance(layer, Largest):
        return Packed(layer)
    ending = folding.fold(layer.ending)
    if layer.input.kind != FLOATS and folding.reach(ending, _most(layer)) >= MAX_LEVEL:
        raise Unsupported("it has scales or shifts that leave the range of 32 bits")
    weights = _weights(pack, layer, matrices) if isinstance(layer, Convolution) else 0
    first = None if ending.first_as_is else _pair(pack, ending.first.affine.scale, ending.first.affine.shift)
    second = _pair(pack, ending.second.affine.scale, ending.second.affine.shift) if ending.second else None
    least = None if ending.least is None else pack.numbers(ending.least)
    return Packed(layer, weights, ending, Numbers(*_pair(pack, ending.scale, ending.shift), least, first, second))


def _most(layer: Convolution | Mean) -> float:
    """No sum of bytes or shorts is farther from zero."""
    low, high = layer.input.levels.limits if layer.input.levels else (0, 0)
    farthest = float(max(-low, high))
    if isinstance(layer, Mean):
        return farthest * layer.input.shape.rows * layer.input.shape.columns
    if layer.weight.dtype == np.float32:
        return farthest * float(np.abs(layer.weight).sum(axis=(1, 2, 3)).max())
    return float(MAX_SUM) if layer.weight.dtype == np.int16 else farthest * 128 * layer.weight[0].size


def _weights(pack: Pack, layer: Convolution, matrices: bool) -> int:
    if layer.alone:
        return pack.windows(layer.weight)
    return pack.weights(layer.weight, layer.input.padded, _gathers_rest(layer, matrices))


def _pair(pack: Pack, scale: np.ndarray, shift: np.ndarray) -> tuple[int, int]:
    limit = float(np.finfo(np.float32).max)
    if not (np.abs(scale) < limit).all() or not (np.abs(shift) < limit).all():
        raise Unsupported("it has scales that leave the range of float32")
    return pack.numbers(scale), pack.numbers(shift)
