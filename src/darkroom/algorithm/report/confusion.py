"""The confusion matrix for people: figures in a table where they can be read, a map of colours where there are many.

Knows counts and names, and no training.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup

from darkroom.algorithm.report.answers import Answers, Counts
from darkroom.algorithm.report.standing import matrix, pairs
from darkroom.pages.pictures import PNG, image

MOST_READ = 20  # classes in a table
MOST_DRAWN = 640  # pixels a side; with more classes several share one
RIGHT, WRONG = (62, 140, 40), (30, 60, 210)  # blue, green, red, as cv2 has them


def shown(answers: Answers, names: Sequence[str]) -> Markup:
    """Rows are what images show, columns what they were taken for."""
    if len(names) <= MOST_READ:
        return _table(matrix(answers, len(names)), names)
    words = "Confusion matrix as a map: what lies off the diagonal is mistaken; the pairs stand in the table below"
    caption = (
        "Down: the classes as they are, in the order of their labels. Across: what they were taken for. Green: right; "
        "red: wrong; the stronger, the more of a class's images."
    )
    picture = image(heat_map(answers, len(names)), words, PNG, "pixels")
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(picture, caption)


def heat_map(answers: Answers, classes: int) -> bytes:
    """A PNG, transparent where nothing is, so that it suits light pages and dark ones."""
    side = min(classes, MOST_DRAWN)
    true, named, counts = pairs(answers)
    totals = np.bincount(true, weights=counts, minlength=classes)
    shares = np.zeros((2, side, side))
    down, across = true * side // classes, named * side // classes
    np.maximum.at(shares, ((true != named).astype(int), down, across), counts / totals[true])
    colour = np.where((shares[1] > 0)[..., None], WRONG, RIGHT)
    strength = np.where(shares[1] > 0, np.maximum(shares[1], 0.15), shares[0] * 0.8) ** 0.5
    pixels = np.concatenate([colour, 255 * strength[..., None]], axis=2).astype(np.uint8)
    larger = max(1, round(MOST_DRAWN / side))
    return cv2.imencode(".png", pixels.repeat(larger, 0).repeat(larger, 1))[1].tobytes()


def _table(counts: Counts, names: Sequence[str]) -> Markup:
    head = Markup("").join(
        Markup('<th scope="col" title="{}"><span>{}</span></th>').format(name, name) for name in names
    )
    rows = Markup("\n").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(name, _cells(row, number))
        for number, (name, row) in enumerate(zip(names, counts, strict=True))
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="cells">'
        "<caption>Rows: what images show. Columns: what they were taken for.</caption>\n"
        "<thead><tr><td></td>{}</tr></thead>\n<tbody>\n{}\n</tbody></table></div>"
    ).format(head, rows)


def _cells(row: np.ndarray, own: int) -> Markup:
    total = max(1, int(row.sum()))
    cells = []
    for number, count in enumerate(row.tolist()):
        kind = "number hot right" if number == own else "number hot"
        strength = f"--share:{0.45 * count / total:.3f}"
        cells.append(Markup('<td class="{}" style="{}">{}</td>').format(kind, strength, count or ""))
    return Markup("").join(cells)
