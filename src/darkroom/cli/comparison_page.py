"""A comparison as pictures: the latency bars that SageMaker's notebooks draw, original against optimised, as PNG, and
as one HTML file that needs nothing beside it. Pure: figures in, bytes out.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from darkroom.cli.racing import QUANTILES
from darkroom.pages import page as pages
from darkroom.pages import pictures
from darkroom.pages.page import paragraph
from darkroom.pages.tables import NUMBER, Column, table

WIDTH, BAR, GAP, TOP, LEFT, RIGHT = 960, 34, 10, 84, 240, 130  # pixels
COLOURS = ((201, 138, 43), (42, 127, 98))  # the first side, the second
INK, PAPER = (34, 34, 34), (255, 255, 255)


@dataclass(frozen=True)
class Figures:
    """Of one side. Milliseconds in the order of QUANTILES; None for what is not known. ``accuracy`` is a share."""

    name: str
    quantiles_ms: tuple[float, ...]
    memory_mib: float | None
    cold_start_s: float | None
    accuracy: float | None


def rows(a: Figures, b: Figures) -> list[tuple[str, str, str, str]]:
    """(what, first, second, how many times better the second is): the table that the terminal and the page show."""
    table = [
        (f"p{share * 100:g}", f"{x:.1f} ms", f"{y:.1f} ms", _times(x, y))
        for share, x, y in zip(QUANTILES, a.quantiles_ms, b.quantiles_ms, strict=True)
    ]
    table.append(("memory", _said(a.memory_mib, "{:.0f} MiB"), _said(b.memory_mib, "{:.0f} MiB"),
                  _times(a.memory_mib, b.memory_mib)))  # fmt: skip
    table.append(("cold start", _said(a.cold_start_s, "{:.2f} s"), _said(b.cold_start_s, "{:.2f} s"),
                  _times(a.cold_start_s, b.cold_start_s)))  # fmt: skip
    if a.accuracy is not None and b.accuracy is not None:
        points = 100 * (b.accuracy - a.accuracy)
        table.append(("accuracy", f"{a.accuracy:.2%}", f"{b.accuracy:.2%}", f"{points:+.2f} points"))
    return table


def png(a: Figures, b: Figures) -> bytes:
    """Bars of latency, the shorter the better."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only a comparison draws

    height = TOP + len(QUANTILES) * (2 * BAR + 3 * GAP) + GAP
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    title, text = ImageFont.load_default(24), ImageFont.load_default(18)
    draw.text((GAP * 2, 14), "Time of a request, milliseconds (shorter is better)", INK, title)
    for column, side in enumerate((a, b)):
        x = GAP * 2 + column * (WIDTH // 2)
        draw.rectangle((x, 54, x + 16, 70), COLOURS[column])
        draw.text((x + 24, 51), _cut(side.name), INK, text)
    longest = max(*a.quantiles_ms, *b.quantiles_ms)
    for group, share in enumerate(QUANTILES):
        y = TOP + GAP + group * (2 * BAR + 3 * GAP)
        draw.text((GAP * 2, y + BAR - 10), f"p{share * 100:g}", INK, text)
        for row, side in enumerate((a, b)):
            value, top = side.quantiles_ms[group], y + row * (BAR + 2)
            end = LEFT - 120 + round((WIDTH - LEFT - RIGHT + 120) * value / longest)
            draw.rectangle((LEFT - 120, top, max(end, LEFT - 118), top + BAR), COLOURS[row])
            label = (
                f"{value:.1f}" if row == 0 else f"{value:.1f}  ({_times(a.quantiles_ms[group], value, 'x')})"
            )  # the font has no ×
            draw.text((end + 8, top + 7), label, INK, text)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def page(a: Figures, b: Figures, notes: Sequence[str]) -> str:
    """One file: the chart, the table, and how it was measured."""
    title = f"{a.name} against {b.name}"
    columns = [Column(""), *(Column(name, NUMBER) for name in (a.name, b.name, "gain"))]
    body = [
        Markup("<h1>{}</h1>").format(title),
        pictures.image(png(a, b), "Bars of latency", pictures.PNG),
        table(columns, rows(a, b), "The same photos to both, in turns"),
        *map(paragraph, notes),
    ]
    return pages.page(title, body)


def _times(before: float | None, after: float | None, sign: str = "×") -> str:
    return f"{before / after:.1f}{sign}" if before and after else ""


def _said(value: float | None, form: str) -> str:
    return "not known" if value is None else form.format(value)


def _cut(name: str) -> str:
    return name if len(name) <= 44 else name[:43] + "…"
