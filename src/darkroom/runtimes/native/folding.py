"""What becomes of a sum, in as few operations as the kernels can do it with.

Where the first thing written has one scale for all channels, sums are computed in its levels from the start: nothing is
left to do then but to round, and a Relu is what saturating does anyway.
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
    """As an Epilogue of ``network.h``. ``first_as_is``: no scale and shift of its own."""

    scale: np.ndarray
    shift: np.ndarray
    rounded: Rounded | None
    added: Added | None
    least: float
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
    if folded.first_as_is and (folded.second is None or folded.through) and folded.least > -inf:
        low = max(folded.first.affine.low, folded.least)
        folded = replace(folded, first=_with_low(folded.first, low), least=-inf)
    return folded


def reach(folded: Folded, most: float) -> float:
    """The farthest that a level can be from zero before it saturates, for sums of bytes that ``most`` bounds."""
    value = float((np.abs(folded.scale) * most + np.abs(folded.shift)).max())
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
        ending.least,
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
    changed = replace(folded, first_as_is=True, least=folded.least * scale + shift)
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


def _with_low(write: Write, low: float) -> Write:
    least = write.stored.levels.limits[0] if write.stored.levels else -inf
    return replace(write, affine=replace(write.affine, low=max(low, least)))
