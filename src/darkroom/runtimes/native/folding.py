"""What becomes of a sum, in as few operations as the kernels can do it with.

Where the first thing written has one scale for all channels, or is the only one, sums are computed in its levels from
the start: nothing is left to do then but to round, and a Relu is what saturating does anyway.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from darkroom.runtimes.native.layers import Affine, Ending, Stored, Write
from darkroom.runtimes.native.structures import LIMITS


@dataclass(frozen=True, eq=False)
class Rounded:
    low: float
    high: float
    step: float


@dataclass(frozen=True, eq=False)
class Added:
    stored: Stored
    scale: float
    shift: float


@dataclass(frozen=True, eq=False)
class Folded:
    """As an Epilogue of ``network.h``. ``least``: of each channel. ``first_as_is``: no scale and shift of its own."""

    scale: np.ndarray
    shift: np.ndarray
    rounded: Rounded | None
    added: Added | None
    least: np.ndarray | None
    first: Write
    first_as_is: bool
    second: Write | None
    through: bool


def fold(ending: Ending) -> Folded:
    writes = (
        sorted(ending.writes, key=lambda write: not _uniform(write.affine)) if not ending.through else ending.writes
    )
    first, second = writes[0], writes[1] if len(writes) > 1 else None
    folded = replace(_plain(ending), first=first, second=second)
    if _uniform(first.affine):
        folded = _in_levels_of_first(folded, float(first.affine.scale[0]), float(first.affine.shift[0]))
    elif not ending.rounding and not ending.other and second is None and (first.affine.scale > 0).all():
        folded = _in_channels_of_first(folded, first.affine)
    if folded.first_as_is and (folded.second is None or folded.through):
        folded = _saturated(folded)
    return folded


def reach(folded: Folded, most: float) -> float:
    """The farthest that a level can be from zero before it saturates, for sums of bytes that ``most`` bounds."""
    value = float((np.abs(folded.scale) * most + np.abs(folded.shift)).max())
    if folded.least is not None:
        value = max(value, float(np.abs(folded.least).max()))
    if folded.rounded:
        value = max(-folded.rounded.low, folded.rounded.high) * folded.rounded.step
    if folded.added and folded.added.stored.levels:
        farthest = max(map(abs, LIMITS[folded.added.stored.kind]))
        value += farthest * abs(folded.added.scale) + abs(folded.added.shift)
    second = [folded.second] if folded.second and not folded.through else []
    affines = [write.affine for write in [*([] if folded.first_as_is else [folded.first]), *second]]
    return max([value, *(float((np.abs(a.scale) * value + np.abs(a.shift)).max()) for a in affines)])


def _plain(ending: Ending) -> Folded:
    scale, shift = ending.affine.scale, ending.affine.shift
    rounded = None
    if ending.rounding:
        step = ending.rounding.levels.scale
        low, high = ending.rounding.bounds
        scale, shift, rounded = scale / step, shift / step, Rounded(low, high, step)
    added = None
    if ending.other:
        levels = ending.other.levels
        added = Added(ending.other, levels.scale, -levels.zero * levels.scale) if levels else Added(ending.other, 1, 0)
    return Folded(
        scale,
        shift,
        rounded,
        added,
        None if ending.least == -inf else np.full(scale.shape, ending.least),
        ending.writes[0],
        False,
        None,
        ending.through and len(ending.writes) > 1,
    )


def _uniform(affine: Affine) -> bool:
    scale, shift = affine.scale, affine.shift
    return bool((scale == scale[0]).all() and (shift == shift[0]).all() and scale[0] > 0)


def _in_levels_of_first(folded: Folded, scale: float, shift: float) -> Folded:
    """f' = f · scale + shift is what the first one rounds."""
    least = None if folded.least is None else folded.least * scale + shift
    changed = replace(folded, first_as_is=True, least=least)
    if folded.rounded and folded.added:
        moved = replace(folded.added, scale=folded.added.scale * scale, shift=folded.added.shift * scale + shift)
        changed = replace(changed, rounded=replace(folded.rounded, step=folded.rounded.step * scale), added=moved)
    else:
        changed = replace(changed, scale=folded.scale * scale, shift=folded.shift * scale + shift)
        if folded.added:
            moved = replace(folded.added, scale=folded.added.scale * scale, shift=folded.added.shift * scale)
            changed = replace(changed, added=moved)
    if folded.second and not folded.through:
        affine = folded.second.affine
        back = affine.scale / scale
        changed = replace(
            changed,
            second=replace(folded.second, affine=replace(affine, scale=back, shift=affine.shift - back * shift)),
        )
    return changed


def _in_channels_of_first(folded: Folded, by: Affine) -> Folded:
    """The same where each channel has a scale of its own, all positive, and nothing else is done to the sum."""
    least = None if folded.least is None else folded.least * by.scale + by.shift
    scale, shift = folded.scale * by.scale, folded.shift * by.scale + by.shift
    return replace(folded, first_as_is=True, scale=scale, shift=shift, least=least)


def _saturated(folded: Folded) -> Folded:
    """A Relu of one bound for all channels is a bound of what is written; one below that bound is none."""
    if folded.least is None:
        return folded
    write, least = folded.first, folded.least
    low = max(write.affine.low, write.stored.levels.limits[0] if write.stored.levels else -inf)
    if not (least == least[0]).all():
        return replace(folded, least=None) if (least <= low).all() else folded
    low = max(low, float(least[0]))
    return replace(folded, least=None, first=replace(write, affine=replace(write.affine, low=low)))
