"""Weights and numbers in the order that the kernels read them in, one behind the other in one piece of memory."""

from collections.abc import Callable

import numpy as np

from darkroom.runtimes.native.memory import Memory
from darkroom.runtimes.native.structures import LANES, LINE

WORD = 4  # bytes of one output's weights that one instruction multiplies

Fill = Callable[[np.ndarray], None]  # writes into uint8 of the size that was asked for


class Pack:
    """First what is needed, then ``lay`` does it all."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[tuple[int, int, Fill]] = []

    def add(self, size: int, fill: Fill) -> int:
        """Where it will lie, from the beginning."""
        place = self.size
        self._parts.append((place, size, fill))
        self.size += -(-size // LINE) * LINE
        return place

    def numbers(self, values: np.ndarray) -> int:
        """One float32 for each channel, and zeros for those that are padding."""
        padded = np.zeros(whole_vectors(len(values)) * LANES, np.float32)
        padded[: len(values)] = values
        return self.array(padded)

    def array(self, values: np.ndarray) -> int:
        flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return self.add(flat.size, lambda target: np.copyto(target, flat))

    def weights(self, weight: np.ndarray, channels: int, rest: bool = False) -> int:
        """int8, int16 or float32 (outputs, inputs, rows, columns), inputs padded to ``channels``, in their order.

        ``rest``: the last byte of each row comes behind all rows.
        """
        group = WORD // weight.itemsize
        outputs, _, rows, columns = weight.shape
        words = rows * (columns * channels // WORD) + rest_of(rows) if rest else rows * run_of(columns, channels, group)
        size = whole_vectors(outputs) * LANES * words * WORD
        return self.add(size, lambda target: _pack(_in_order(weight, channels, group, rest), target))

    def windows(self, weight: np.ndarray) -> int:
        """(channels, 1, rows, columns) as floats, channels last."""
        channels, _, rows, columns = weight.shape
        floats = np.zeros((rows, columns, whole_vectors(channels) * LANES), np.float32)
        floats[:, :, :channels] = weight[:, 0].transpose(1, 2, 0)
        return self.array(floats)

    def lay(self) -> Memory:
        memory = Memory(max(self.size, LINE), large=True)
        for place, size, fill in self._parts:
            fill(memory.bytes[place : place + size])
        self._parts.clear()  # and with them the file
        return memory


def whole_vectors(channels: int) -> int:
    return -(-channels // LANES)


def run_of(columns: int, channels: int, group: int) -> int:
    """Groups of inputs in a row of a window; the last may be a part of one."""
    return -(-columns * channels // group)


def rest_of(rows: int) -> int:
    """Words of one byte of each row of a window."""
    return -(-rows // WORD)


def _in_order(weight: np.ndarray, channels: int, group: int, rest: bool) -> np.ndarray:
    """(whole vectors of outputs, numbers of a window in the order of the kernels, in whole groups)."""
    outputs, inputs, rows, columns = weight.shape
    ordered = np.zeros((whole_vectors(outputs) * LANES, rows, columns, channels), weight.dtype)
    ordered[:outputs, :, :, :inputs] = weight.transpose(0, 2, 3, 1)
    lines = ordered.reshape(len(ordered), rows, columns * channels)
    if not rest:
        return _in_groups(lines, group).reshape(len(ordered), -1)
    whole = lines[:, :, :-1].reshape(len(ordered), -1)
    return np.concatenate([whole, _in_groups(lines[:, :, -1], group)], axis=1)


def _in_groups(numbers: np.ndarray, group: int) -> np.ndarray:
    """Zeros behind the last of a row, up to a whole group."""
    missing = -numbers.shape[-1] % group
    return np.pad(numbers, (*[(0, 0)] * (numbers.ndim - 1), (0, missing))) if missing else numbers


def _pack(ordered: np.ndarray, target: np.ndarray) -> None:
    """Pairs of vectors of outputs; within one, for each group of inputs of the window, the vectors side by side.

    Four bytes are moved as one number.
    """
    words = ordered.reshape(len(ordered) // LANES, LANES, -1).view(np.uint32)
    vectors, _, run = words.shape
    into = target.view(np.uint32)
    pairs = vectors // 2
    paired = into[: pairs * 2 * LANES * run].reshape(pairs, run, 2, LANES)
    np.copyto(paired, words[: pairs * 2].reshape(pairs, 2, LANES, run).transpose(0, 3, 1, 2))
    if vectors % 2:
        np.copyto(into[pairs * 2 * LANES * run :].reshape(run, LANES), words[-1].T)
