"""The contact sheet of a dataset as one page: some photos of every class, sizes, kinds, and what is odd.

Pure: summaries, oddities and thumbnails in, text out. Names come from strangers' folders and become text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from darkroom.inspection.datasets import class_name, single_labels
from darkroom.inspection.findings import Oddity
from darkroom.inspection.summaries import Summary
from darkroom.inspection.survey import Survey
from darkroom.inspection.twins import Where
from darkroom.pages import charts, tables
from darkroom.pages.page import folded, heading, page, paragraph, section, tiles
from darkroom.pages.pictures import Picture, strip
from darkroom.pages.tables import BAR, NUMBER, Cell, Column, table

PICTURES, MOST_OF_A_CLASS, MOST_CLASSES = 480, 8, 240
MOST_LISTED = 200  # oddities of one kind
MOST_SHOWN = 12  # of one kind, as pictures
MOST_TWINS = 3  # pictures of one group
SHOWN_KINDS = ("very long", "very small")  # and twins; what cannot be read has no picture
BINS = 16


@dataclass(frozen=True)
class Sheet:
    """All that the page says. ``thumbnails`` by place, those that could be made."""

    surveys: Sequence[Survey]
    summaries: Sequence[Summary]
    oddities: Sequence[Oddity]
    suggestion: Mapping[str, str]
    checked: str
    thumbnails: Mapping[Where, bytes]


def contact_sheet(title: str, sheet: Sheet) -> str:
    images = sum(found.images for found in sheet.summaries)
    classes = max((len(found.classes) for found in sheet.summaries), default=0)
    said = f"{images:,} images, {classes:,} class{'' if classes == 1 else 'es'}, {sheet.summaries[0].kind}"
    body = [
        heading(f"Inspection of {title}", said),
        _tiles(sheet, images, classes),
        _odd(sheet),
        _classes(sheet),
        _sizes(sheet),
        _samples(sheet),
        section("To train with", tables.names_and_values(sheet.suggestion.items(), "Hyperparameters that follow")),
        section("What was looked at", sheet.checked),
    ]
    return page(f"Inspection of {title}", body)


def places(surveys: Sequence[Survey], oddities: Sequence[Oddity], seed: int) -> list[Where]:
    """The images whose thumbnails the page wants: some of every class, at random, and odd ones."""
    wanted = [where for number, survey in enumerate(surveys) for where in _random(number, survey, len(surveys), seed)]
    shown = dict[str, int]()
    for it in oddities:
        if _has_picture(it.kind) and shown.get(it.kind, 0) < MOST_SHOWN:
            shown[it.kind] = shown.get(it.kind, 0) + 1
            wanted += it.places[:MOST_TWINS]
    return list(dict.fromkeys(wanted))


def _has_picture(kind: str) -> bool:
    return kind in SHOWN_KINDS or kind.startswith(("the same", "nearly"))


def _random(number: int, survey: Survey, datasets: int, seed: int) -> list[Where]:
    by_class = dict[int, list[int]]()
    readable = survey.looks["readable"]
    for k, label in _labelled(survey):
        if readable[k]:
            by_class.setdefault(label, []).append(k)
    labels = sorted(by_class)[: MOST_CLASSES // datasets]
    each = max(2, min(MOST_OF_A_CLASS, PICTURES // datasets // max(1, len(labels))))
    draws = np.random.default_rng(seed)
    chosen = [draws.permutation(by_class[label])[:each] for label in labels]
    return [(number, int(k)) for some in chosen for k in sorted(some)]


def _labelled(survey: Survey) -> list[tuple[int, int]]:
    """(image, class) of every image; with several labels each of its classes."""
    labels = survey.dataset.labels
    if labels.shape[1] == 1:
        return list(single_labels(survey.dataset))
    return [(int(k), int(column)) for k, column in np.argwhere(labels == 1)]


def _tiles(sheet: Sheet, images: int, classes: int) -> Markup:
    bad = images - sum(found.readable for found in sheet.summaries)
    grave = sum(it.grave for it in sheet.oddities)
    size = sum(found.bytes for found in sheet.summaries)
    return tiles(
        [
            ("Images", f"{images:,}", f"{len(sheet.summaries)} datasets" if len(sheet.summaries) > 1 else ""),
            ("Classes", f"{classes:,}", ""),
            ("Bytes", f"{size / 1e6:,.1f} MB", ""),
            ("Cannot be read", f"{bad:,}", ""),
            ("To put right", f"{grave:,}", f"of {len(sheet.oddities):,} remarks"),
        ]
    )


def _odd(sheet: Sheet) -> Markup:
    if not sheet.oddities:
        return section("What is odd", paragraph("Nothing was found.", "good"))
    parts = []
    for kind, found in grouped(sheet.oddities).items():
        shown = [_pictures(sheet, it) for it in found[:MOST_SHOWN]] if _has_picture(kind) else []
        items = Markup("\n").join(Markup("<li>{}</li>").format(it.said) for it in found[:MOST_LISTED])
        more = f" The first {MOST_LISTED} stand here." if len(found) > MOST_LISTED else ""
        head = Markup('<strong class="{}">{}</strong>: {}.{}').format(
            "bad" if found[0].grave else "", kind, f"{len(found):,}", more
        )
        listed = Markup("<ul>\n{}\n</ul>").format(items)
        parts += [paragraph(head), listed if len(found) <= 5 else folded("One by one", listed)]
        parts += [Markup('<div class="groups">{}</div>').format(Markup("\n").join(shown))] if shown else []
    return section("What is odd", *parts, long=True)


def _pictures(sheet: Sheet, it: Oddity) -> Markup:
    shown = [Picture(sheet.thumbnails.get(place), _name(sheet, place)) for place in it.places[:MOST_TWINS]]
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(strip(shown), it.said)


def _name(sheet: Sheet, place: Where) -> str:
    return sheet.surveys[place[0]].dataset.name(place[1])


def grouped(oddities: Sequence[Oddity]) -> dict[str, list[Oddity]]:
    """By kind, the grave ones first."""
    groups = dict[str, list[Oddity]]()
    for it in oddities:
        groups.setdefault(it.kind, []).append(it)
    return groups


def _classes(sheet: Sheet) -> Markup:
    parts = []
    for found in sheet.summaries:
        most = max((row.images for row in found.classes), default=0)
        columns = [Column("class"), Column("label", NUMBER), Column("images", NUMBER), Column("", BAR)]
        columns += [Column("share", NUMBER), Column("MB", NUMBER)]
        rows = [
            (
                Cell(row.name),
                tables.count(row.label),
                tables.count(row.images),
                tables.bar(row.images, most),
                tables.share(row.share),
                Cell(f"{row.bytes / 1e6:,.1f}", row.bytes),
            )
            for row in found.classes
        ]
        parts.append(table(columns, rows, f"{found.title}: {found.images:,} images", sortable=True))
    return section("Classes", *parts, long=True)


def _sizes(sheet: Sheet) -> Markup:
    plots, entries = [], []
    for survey, found in zip(sheet.surveys, sheet.summaries, strict=True):
        if found.shorter is None or found.width is None or found.height is None:
            continue
        looks = survey.looks[survey.looks["readable"] & (survey.looks["width"] > 0)]
        shorter = np.minimum(looks["width"], looks["height"])
        plots.append(charts.bars(f"{found.title}: shorter side", histogram(shorter), "pixels"))
        entries += [
            (f"{found.title}: width", _spread(found.width.low, found.width.median, found.width.high)),
            ("height", _spread(found.height.low, found.height.median, found.height.high)),
            ("landscape, portrait, square", f"{found.landscape:,}, {found.portrait:,}, {found.square:,}"),
            ("turned by the camera's mark", f"{found.turned:,}"),
            ("kinds", ", ".join(f"{count:,} {kind}" for kind, count in found.kinds)),
            ("colours", ", ".join(f"{count:,} {mode}" for mode, count in found.modes)),
        ]
    drawn = Markup('<div class="plots">{}</div>').format(Markup("\n").join(plots))
    return section(
        "Sizes and kinds", drawn, tables.names_and_values(entries, "Smallest, median and largest; in pixels")
    )


def histogram(values: np.ndarray) -> list[tuple[str, int]]:
    """Counts in at most BINS bins of one width, each under its lower edge; what is beyond the 99th percentile is in the
    last one."""
    if not len(values):
        return []
    low, high = int(values.min()), int(np.percentile(values, 99)) + 1
    width = max(1, -(-(high - low) // BINS))
    bins = np.minimum((values.astype(np.int64) - low) // width, (high - low - 1) // width)
    counts = np.bincount(bins, minlength=1)
    return [(str(low + width * number), int(count)) for number, count in enumerate(counts)]


def _spread(low: float, median: float, high: float) -> str:
    return f"{low:,.0f}, {median:,.0f}, {high:,.0f}"


def _samples(sheet: Sheet) -> Markup:
    parts, said = list[Markup](), ""
    for number, survey in enumerate(sheet.surveys):
        by_class = dict[int, list[int]]()
        for k, label in _labelled(survey):
            if (number, k) in sheet.thumbnails:
                by_class.setdefault(label, []).append(k)
        for label in sorted(by_class):
            name = class_name(survey.dataset, label)
            title = f"{survey.dataset.title}: {name}" if len(sheet.surveys) > 1 else name
            chosen = by_class[label][:MOST_OF_A_CLASS]
            pictures = [Picture(sheet.thumbnails[number, k], survey.dataset.name(k)) for k in chosen]
            parts.append(Markup("<h3>{}</h3>{}").format(title, strip(pictures)))
        if (left := len(sheet.summaries[number].classes) - len(by_class)) > 0:
            said = f"{left} classes are not shown."
    return section("A few of each class, at random", *parts, said, long=True)
