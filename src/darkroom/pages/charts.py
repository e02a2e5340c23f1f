"""Curves and bars as SVG that follows the page's colours, light or dark. Figures in, markup out.

Drawn here rather than by matplotlib, which the machine that trains need not have, and which knows one colour scheme.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

WIDTH, HEIGHT = 520, 300  # of the drawing; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 34, 40
MOST_POINTS = 60  # with more of them the line alone is clearer
MOST_LABELS = 6
FAR = 8  # times the next smaller value: what is so far beyond stands above the chart, with its number
MOST_BEYOND = 2  # of few values; of many, one in
ONE_IN = 20

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Series:
    """``points`` (x, y) in order of x; a y of None, or no finite one, leaves a gap."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Mark:
    """Something that happened at an x: a dotted line with a word."""

    x: float
    text: str


def lines(
    title: str,
    series: Sequence[Series],
    x_title: str,
    marks: Sequence[Mark] = (),
    ring: float | None = None,
    percent: bool = False,
) -> Markup:
    """A figure of at most two curves. ``ring`` is the x whose points are circled; ``percent``: shares, up to 100 %."""
    known = [[(x, y) for x, y in each.points if y is not None and math.isfinite(y)] for each in series]
    xs = [x for each in series for x, _ in each.points] or [0.0]
    ys = [y for points in known for _, y in points] or [0.0]
    low, high = (math.floor(min(ys) * 5) / 5, 1.0) if percent else (0.0, top(ys))
    frame = _Frame(min(xs), max(xs), low if low < high else low - 0.2, high)
    parts = [*_grid(frame, percent), *_x_axis(frame, xs, x_title)]
    for number, (each, points) in enumerate(zip(series, known, strict=True)):
        parts += _curve(frame, each, points, ("first", "second")[number], ring, percent)
    parts += [*_marks(frame, marks), *_legend(series)]
    return _figure(title, _summary(title, series, known, percent), parts)


def top(values: Sequence[float]) -> float:
    """Where the axis ends: at the largest value, or, where a few would press all others flat, at the largest of the
    others. First epochs at a high learning rate can have a loss a hundred times that of the next ones."""
    ordered = sorted(values, reverse=True)
    usual = ordered[len(ordered) // 2]
    far = sum(value > FAR * usual for value in ordered)
    if usual > 0 and ordered[0] > FAR**2 * usual and far <= len(ordered) // ONE_IN:
        return ordered[far]
    gaps = [
        count for count in range(1, min(MOST_BEYOND + 1, len(ordered))) if ordered[count - 1] > FAR * ordered[count]
    ]
    return ordered[max(gaps, default=0)] or ordered[0] or 1.0


def bars(title: str, counts: Sequence[tuple[str, int]], x_title: str) -> Markup:
    """A histogram: a bar for each (label, count)."""
    most = max((count for _, count in counts), default=0) or 1
    frame = _Frame(0, max(1, len(counts)), 0, most)
    every = max(1, math.ceil(len(counts) / 8))
    parts = [*_grid(frame, False, whole=True), _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_title, "middle")]
    for number, (label, count) in enumerate(counts):
        x, right, y = frame.x(number + 0.06), frame.x(number + 0.94), frame.y(count)
        parts.append(
            Markup(
                '<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(x, y, right - x, frame.y(0) - y, f"{label}: {count:,}")
        )
        if number % every == 0:
            parts.append(_text((x + right) / 2, HEIGHT - BOTTOM + 16, label, "middle"))
    return _figure(title, f"{title}: " + ", ".join(f"{label}: {count:,}" for label, count in counts), parts)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``, at most so many: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class _Frame:
    """Where numbers lie in the drawing."""

    left: float
    right: float
    low: float
    high: float

    def x(self, value: float) -> float:
        span = self.right - self.left
        share = (value - self.left) / span if span else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _grid(frame: _Frame, percent: bool, whole: bool = False) -> Iterable[Markup]:
    for value in ticks(frame.low, frame.high):
        if whole and value != int(value):
            continue
        y = frame.y(value)
        yield Markup('<line class="grid" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(LEFT, y, WIDTH - RIGHT, y)
        yield _text(LEFT - 6, y + 4, _said(value, percent), "end")


def _x_axis(frame: _Frame, xs: Sequence[float], title: str) -> Iterable[Markup]:
    for value in ticks(min(xs), max(xs), 9):
        if value == int(value):
            yield _text(frame.x(value), HEIGHT - BOTTOM + 16, f"{value:g}", "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, title, "middle")


def _marks(frame: _Frame, marks: Sequence[Mark]) -> Iterable[Markup]:
    for number, mark in enumerate(marks):
        x = frame.x(mark.x)
        yield Markup('<line class="mark" x1="{:.1f}" y1="{}" x2="{:.1f}" y2="{}"><title>{}</title></line>').format(
            x, TOP, x, HEIGHT - BOTTOM, mark.text
        )
        if len(marks) <= MOST_LABELS:
            right = x > (LEFT + WIDTH) / 2
            yield _text(x + (-4 if right else 4), TOP + 12 + 15 * (number % 3), mark.text, "end" if right else "start")


def _curve(
    frame: _Frame, each: Series, points: Sequence[tuple[float, float]], kind: str, ring: float | None, percent: bool
) -> Iterable[Markup]:
    gaps = {x for x, _ in each.points} - {x for x, y in points if y <= frame.high}
    path, pen = [], "M"
    known = dict(points)
    for x, _ in each.points:
        if x in gaps:
            pen = "M"
            continue
        path.append(f"{pen}{frame.x(x):.1f} {frame.y(known[x]):.1f}")
        pen = "L"
    yield Markup('<path class="{} line" d="{}"/>').format(kind, " ".join(path))
    yield from _beyond(frame, points, percent)
    for x, y in points:
        if y <= frame.high and (len(points) <= MOST_POINTS or x == ring):
            yield Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>').format(
                kind, frame.x(x), frame.y(y), f"{each.name}, {x:g}: {_said(y, percent, exact=True)}"
            )
        if x == ring:
            yield Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="7"/>').format(
                frame.x(x), frame.y(min(y, frame.high))
            )


def _beyond(frame: _Frame, points: Sequence[tuple[float, float]], percent: bool) -> Iterable[Markup]:
    """What stands above the chart: one text for values beside each other."""
    for far, run in groupby(points, key=lambda point: point[1] > frame.high):
        if far:
            (x, y), *more = run
            said = ", ".join(_said(value, percent) for value in (y, *(value for _, value in more)))
            yield _text(frame.x(x), TOP - 4, f"↑ {said}", "start" if x == frame.left else "middle")


def _legend(series: Sequence[Series]) -> Iterable[Markup]:
    for number, each in enumerate(series):
        x, kind = LEFT + 150 * number, ("first", "second")[number]
        yield Markup('<path class="{} line" d="M{} 8 h26"/><circle class="{}" cx="{}" cy="8" r="3"/>').format(
            kind, x, kind, x + 13
        )
        yield Markup('<text x="{}" y="12">{}</text>').format(x + 32, each.name)


def _summary(
    title: str, series: Sequence[Series], known: Sequence[Sequence[tuple[float, float]]], percent: bool
) -> str:
    said = [
        f"{each.name} from {_said(points[0][1], percent, True)} to {_said(points[-1][1], percent, True)}"
        for each, points in zip(series, known, strict=True)
        if points
    ]
    return f"{title}: " + ("; ".join(said) or "no figures")


def _figure(title: str, summary: str, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<figure><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="img" aria-label="{}">\n{}\n</svg></figure>'
    ).format(title, WIDTH, HEIGHT, summary, Markup("\n").join(parts))


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _said(value: float, percent: bool, exact: bool = False) -> str:
    if percent:
        return f"{value:.1%}" if exact else f"{value:.0%}"
    return f"{value:,.4g}"
