"""Tables of a page: a name for every row, figures under each other, sortable where that helps. Knows no meaning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

NUMBER, BAR = "number", "bar-cell"


@dataclass(frozen=True)
class Cell:
    """``key`` is what the column is sorted by, where the text is not; the empty string comes before everything."""

    text: str | Markup
    key: float | str | None = None


@dataclass(frozen=True)
class Column:
    """``kind``: NUMBER, BAR, or nothing for words."""

    title: str
    kind: str = ""


Row = Sequence[Cell | Markup | str]


def table(columns: Sequence[Column], rows: Iterable[Row], caption: str, sortable: bool = False) -> Markup:
    """The first cell of a row names it."""
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(_kind(column), column.title) for column in columns
    )
    body = Markup("\n").join(Markup("<tr>{}</tr>").format(_cells(row, columns)) for row in rows)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table{}><caption>{}</caption>\n'
        "<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody></table></div>"
    ).format(caption, Markup(' class="sortable"') if sortable else "", caption, head, body)


def names_and_values(entries: Iterable[tuple[str, str | Markup]], caption: str = "") -> Markup:
    """A table of two columns without heads."""
    rows = Markup("\n").join(
        Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(name, value) for name, value in entries
    )
    above = Markup("<caption>{}</caption>").format(caption) if caption else ""
    return Markup('<div class="scroll"><table>{}<tbody>\n{}\n</tbody></table></div>').format(above, rows)


def share(value: float | None) -> Cell:
    """93.4 %, or a dash where there is nothing to say."""
    return Cell("–", "") if value is None else Cell(f"{value:.1%}", value)


def count(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def bar(value: float, most: float) -> Markup:
    """A bar that says nothing that the figure beside it does not."""
    width = 100 * value / most if most else 0.0
    return Markup('<span aria-hidden="true" style="width:{}%"></span>').format(f"{width:.1f}")


def _cells(row: Row, columns: Sequence[Column]) -> Markup:
    cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
    first = Markup('<th scope="row"{}>{}</th>').format(_key(cells[0]), cells[0].text)
    return first + Markup("").join(
        Markup("<td{}{}>{}</td>").format(_kind(column), _key(cell), cell.text)
        for cell, column in zip(cells[1:], columns[1:], strict=True)
    )


def _kind(column: Column) -> Markup:
    return Markup(' class="{}"').format(column.kind) if column.kind else Markup("")


def _key(cell: Cell) -> Markup:
    return Markup("") if cell.key is None else Markup(' data-key="{}"').format(cell.key)
