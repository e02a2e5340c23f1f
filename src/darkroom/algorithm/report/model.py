"""The parts of a report that tell of the stored model: what it takes for what, its worst mistakes, every class.

Pure: facts, answers, standings and thumbnails in, markup out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from darkroom.algorithm.report import confusion
from darkroom.algorithm.report.facts import Facts
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.standing import ClassStanding, Mistake, Pair
from darkroom.pages import tables
from darkroom.pages.page import paragraph, section
from darkroom.pages.pictures import Picture, gallery
from darkroom.pages.tables import NUMBER, Cell, Column, table

MOST_PAIRS = 20


@dataclass(frozen=True)
class Shown:
    """A mistake with what can be shown of it."""

    mistake: Mistake
    name: str  # of the image
    thumbnail: bytes | None


def confusions(facts: Facts, history: History, found: Sequence[Pair]) -> Markup:
    assert history.answers is not None
    names = [facts.name(label) for label in range(facts.classes)]
    shown = confusion.shown(history.answers, names)
    if not found:
        return section("What is taken for what", shown, "Every validation image was recognised.")
    columns = [Column("images of"), Column("taken for"), Column("images", NUMBER), Column("of its images", NUMBER)]
    rows = [
        (facts.name(p.true), facts.name(p.named), tables.count(p.count), tables.share(p.share))
        for p in found[:MOST_PAIRS]
    ]
    more = f", {MOST_PAIRS} of {len(found):,}" if len(found) > MOST_PAIRS else ""
    return section("What is taken for what", shown, table(columns, rows, f"The most confused pairs{more}", True))


def worst(facts: Facts, history: History, shown: Sequence[Shown]) -> Markup:
    title = "Worst mistakes"
    if not shown:
        broken = history.answers is not None and history.answers.loss is not None and math.isnan(history.answers.loss)
        return section(title, "The network's answers are no numbers: it diverged. Use a smaller learning_rate."
                       if broken else "There is none: every answer on the validation images was right.")  # fmt: skip
    said = "Wrong answers that the network was surest of. Look at them first: often it is the label that is wrong."
    return section(title, said, gallery(_picture(facts, it) for it in shown), long=True)


def _picture(facts: Facts, it: Shown) -> Picture:
    named, sure = facts.name(it.mistake.named), f"{it.mistake.probability:.1%}"
    if it.mistake.true is not None:
        true = facts.name(it.mistake.true)
        words = f"{it.name}: {true}, taken for {named}"
        caption = Markup('{}<br>taken for <strong class="bad">{}</strong>, {}<br>{}')
        return Picture(it.thumbnail, words, caption.format(true, named, sure, _small(it.name)))
    fault = f"{'overlooked' if it.mistake.has else 'wrongly seen'}: {named}"
    caption = Markup('<strong class="bad">{}</strong>, {}<br>{}').format(fault, sure, _small(it.name))
    return Picture(it.thumbnail, f"{it.name}, {fault}", caption)


def _small(text: str) -> Markup:
    return Markup('<span class="soft">{}</span>').format(text)


def every_class(facts: Facts, rows: Sequence[ClassStanding]) -> Markup:
    columns = [Column("class"), *(Column(name, NUMBER) for name in ("images", "right", "recall", "precision", "F1"))]
    if not facts.multi_label:
        columns.append(Column("most often taken for"))
    said = (
        "Recall: the share of a class's images that were found. Precision: the share of its answers that were right. "
        "F1: their harmonic mean. A click on a head sorts."
    )
    body = table(columns, _class_rows(facts, rows), f"{len(rows):,} classes, on the validation images", True)
    return section("Every class", paragraph(said, "soft"), body, long=True)


def _class_rows(facts: Facts, rows: Sequence[ClassStanding]) -> Iterator[tuple[Cell, ...]]:
    for row in rows:
        cells = [
            Cell(facts.name(row.label)),
            *map(tables.count, (row.images, row.right)),
            *map(tables.share, (row.recall, row.precision, row.f1)),
        ]
        if not facts.multi_label:
            cells.append(Cell("" if row.taken_for is None else facts.name(row.taken_for)))
        yield tuple(cells)
