"""The report of a training job as one page: what was trained, its curves, what it takes for what, its worst mistakes.

Pure: facts, a history, labels and thumbnails in, text out. Names of classes and files come from strangers' folders; the
page's own types make text of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from darkroom.algorithm.data.labels import Classes
from darkroom.algorithm.report import confusion
from darkroom.algorithm.report.facts import Facts, settings
from darkroom.algorithm.report.history import Epoch, History
from darkroom.algorithm.report.standing import ClassStanding, Mistake, Pair, confused, standings
from darkroom.pages import charts, tables
from darkroom.pages.charts import Mark, Series
from darkroom.pages.page import folded, heading, page, paragraph, section, tiles
from darkroom.pages.pictures import Picture, gallery
from darkroom.pages.tables import NUMBER, Cell, Column, table

MOST_PAIRS = 20
NO_VALIDATION = (
    "The job had no validation channel, so there is no confusion matrix, no figures for each class and no list of "
    "mistakes: on the images that it learned from, a network's mistakes say little. Give the next job a channel named "
    "validation with images that the train channel does not hold."
)
NO_ANSWERS = (
    "The model was stored as training was stopped, before it was validated: there are no figures for each class."
)


@dataclass(frozen=True)
class Shown:
    """A mistake with what can be shown of it."""

    mistake: Mistake
    name: str  # of the image
    thumbnail: bytes | None


def report(facts: Facts, history: History, labels: Classes | None, shown: Sequence[Shown]) -> str:
    """The whole page. ``labels`` are those of the validation images; ``shown`` the worst mistakes."""
    rows = [] if labels is None or history.answers is None else standings(history.answers, labels, facts.classes)
    found = confused(history.answers, labels) if rows and labels is not None and labels.ndim == 1 else []
    body = [heading("Training report", _subtitle(facts, history)), _tiles(facts, history), _curves(facts, history)]
    if rows and labels is not None and history.answers is not None:
        if labels.ndim == 1:
            body.append(_confusion(facts, history, labels, found))
        body += [_mistakes(facts, history, shown), _classes(facts, rows)]
    else:
        reason = NO_VALIDATION if facts.validation_images is None else NO_ANSWERS
        body.append(section("Classes and mistakes", reason))
    body += [_trained(facts, history), _epochs(history)]
    title = f"Training report: {facts.job}" if facts.job else "Training report"
    return page(title, body, figures(facts, history, rows, found))


def figures(facts: Facts, history: History, rows: Sequence[ClassStanding], found: Sequence[Pair]) -> Mapping[str, Any]:
    """What the page says, for programs. Classes are named; what is no number is null."""
    stored = _stored(history)
    return {
        "job": facts.job,
        "network": facts.network,
        "images": {"train": facts.train_images, "validation": facts.validation_images},
        "classes": facts.classes,
        "multi_label": facts.multi_label,
        "ended": history.ended,
        "epochs": [{name: _number(value) for name, value in asdict(epoch).items()} for epoch in history.epochs],
        "stored_epoch": stored.number + 1 if stored else None,
        "accuracy": _number(stored.validation_accuracy) if stored else None,
        "per_class": [
            {"name": facts.name(row.label), "images": row.images, "right": row.right, "named": row.named}
            for row in rows
        ],
        "confused": [
            {"true": facts.name(pair.true), "named": facts.name(pair.named), "images": pair.count}
            for pair in found[:MOST_PAIRS]
        ],
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _stored(history: History) -> Epoch | None:
    """The epoch whose model was stored last; None where it was stored in the middle of one."""
    return next((epoch for epoch in reversed(history.epochs) if epoch.stored), None)


# What was trained -----------------------------------------------------------------------------------------------------


def _subtitle(facts: Facts, history: History) -> str:
    said = [facts.job] if facts.job else []
    images = f"{facts.train_images:,} images of {facts.classes} classes"
    return " · ".join([*said, facts.network, images, *([history.ended] if history.ended else [])])


def _tiles(facts: Facts, history: History) -> Markup:
    done, stored = len(history.epochs), _stored(history)
    entries = []
    word = "right answers" if facts.multi_label else "accuracy"
    if stored is not None and stored.validation_accuracy is not None:
        entries.append(
            (f"Validation {word} of the model", f"{stored.validation_accuracy:.1%}", f"epoch {stored.number + 1}")
        )
    if history.epochs:
        last = history.epochs[-1]
        if last.validation_accuracy is not None:
            entries.append(
                (f"Validation {word} at the end", f"{last.validation_accuracy:.1%}", f"epoch {last.number + 1}")
            )
        entries.append(
            (
                f"Training {word} at the end",
                f"{last.train_accuracy:.1%}",
                "on altered images" if facts.values.augmentation_type else "",
            )
        )
    entries.append(("Epochs", f"{done}", "" if done == facts.values.epochs else f"of {facts.values.epochs}"))
    entries.append(("Training took", _duration(sum(e.seconds for e in history.epochs)), "without validation"))
    return tiles(entries)


def _trained(facts: Facts, history: History) -> Markup:
    values, stored = facts.values, _stored(history)
    channels, height, width = values.shape
    kind = "colour" if channels == 3 else "grey"
    validation = "none" if facts.validation_images is None else f"{facts.validation_images:,}"
    entries = [
        ("Network", facts.network),
        ("Started from", facts.start),
        ("Training images", f"{facts.train_images:,}"),
        ("Validation images", validation),
        ("Classes", f"{facts.classes}" + (", several an image" if facts.multi_label else "")),
        ("The network sees", f"{width} x {height} pixels, {kind}"),
        ("Stored model", f"of epoch {stored.number + 1}" if stored else "as it was when training was stopped"),
        ("Ended", history.ended or "after its last epoch"),
    ]
    if facts.hosts > 1:
        entries.append(("Machines", _machines(facts)))
    given = tables.names_and_values(settings(values), "Hyperparameters, as they were used")
    return section("What was trained", tables.names_and_values(entries, "The job"), folded("Hyperparameters", given))


def _machines(facts: Facts) -> str:
    said = f"{facts.hosts}; the training loss is that of the first one's share"
    if "train" in facts.shared_out:
        said += "; so are the training images that are counted here"
    if "validation" in facts.shared_out:
        said += "; classes and mistakes are those of its own validation images, accuracy is that of all"
    return said


# How it went ----------------------------------------------------------------------------------------------------------


def _curves(facts: Facts, history: History) -> Markup:
    epochs = history.epochs
    if not epochs:
        return section(
            "How it went", "Training was stopped before its first epoch had ended: there is nothing to draw."
        )
    marks = [Mark(b.number + 1, f"rate {b.learning_rate:g}") for a, b in pairwise(epochs) if _drops(a, b)]
    stored = _stored(history)
    ring = float(stored.number + 1) if stored else None
    validated = any(epoch.validation_accuracy is not None for epoch in epochs)
    share = "Share of right answers" if facts.multi_label else "Accuracy"
    plots = [
        charts.lines("Loss", _series(epochs, "loss", validated), "epoch", marks, ring),
        charts.lines(share, _series(epochs, "accuracy", validated), "epoch", marks, ring, percent=True),
    ]
    said = []
    if ring is not None:
        said.append(f"Circled: epoch {ring:g}, whose model is stored.")
    if marks:
        said.append("Dotted: the learning rate changed.")
    if facts.values.augmentation_type:
        said.append("Training images are altered at random (augmentation_type), so validation may come out above.")
    return section(
        "How it went", Markup('<div class="plots">{}</div>').format(Markup("\n").join(plots)), " ".join(said)
    )


def _drops(before: Epoch, after: Epoch) -> bool:
    return after.learning_rate != before.learning_rate


def _series(epochs: Sequence[Epoch], what: str, validated: bool) -> list[Series]:
    """``what``: loss or accuracy, of training and, where there was one, of validation."""
    parts = ("train", "validation") if validated else ("train",)
    return [
        Series({"train": "training"}.get(part, part), [(e.number + 1, getattr(e, f"{part}_{what}")) for e in epochs])
        for part in parts
    ]


def _epochs(history: History) -> Markup:
    columns = [Column("epoch", NUMBER), *(Column(title, NUMBER) for title in (
        "training loss", "validation loss", "training accuracy", "validation accuracy", "learning rate", "seconds"
    )), Column("")]  # fmt: skip
    rows = [
        (
            f"{epoch.number + 1}",
            _figure(epoch.train_loss),
            _figure(epoch.validation_loss),
            tables.share(epoch.train_accuracy),
            tables.share(epoch.validation_accuracy),
            f"{epoch.learning_rate:g}",
            f"{epoch.seconds:.1f}",
            "stored" if epoch.stored else "",
        )
        for epoch in history.epochs
    ]
    return section("Every epoch", folded("The curves in figures", table(columns, rows, "Epochs")), long=True)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if math.isfinite(value) else "not a number"


# Classes and mistakes -------------------------------------------------------------------------------------------------


def _confusion(facts: Facts, history: History, labels: Classes, found: Sequence[Pair]) -> Markup:
    assert history.answers is not None
    names = [facts.name(label) for label in range(facts.classes)]
    shown = confusion.shown(history.answers, labels, names)
    if not found:
        return section("What is taken for what", shown, "Every validation image was recognised.")
    columns = [Column("images of"), Column("taken for"), Column("images", NUMBER), Column("of its images", NUMBER)]
    rows = [
        (facts.name(p.true), facts.name(p.named), tables.count(p.count), tables.share(p.share))
        for p in found[:MOST_PAIRS]
    ]
    more = f", {MOST_PAIRS} of {len(found):,}" if len(found) > MOST_PAIRS else ""
    return section("What is taken for what", shown, table(columns, rows, f"The most confused pairs{more}", True))


def _mistakes(facts: Facts, history: History, shown: Sequence[Shown]) -> Markup:
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


def _classes(facts: Facts, rows: Sequence[ClassStanding]) -> Markup:
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


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"
