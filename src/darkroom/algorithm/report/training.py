"""The parts of a report that tell of the training: the figures on top, what was trained, its curves, every epoch.

Pure: facts and a history in, markup out.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from darkroom.algorithm.report.facts import Facts, settings
from darkroom.algorithm.report.history import Epoch, History
from darkroom.pages import charts, tables
from darkroom.pages.charts import Mark, Series
from darkroom.pages.page import folded, section, tiles
from darkroom.pages.tables import NUMBER, Column, table


def subtitle(facts: Facts, history: History) -> str:
    said = [facts.job] if facts.job else []
    images = f"{facts.train_images:,} images of {facts.classes} classes"
    return " · ".join([*said, facts.network, images, *([history.ended] if history.ended else [])])


def figures(facts: Facts, history: History) -> Markup:
    """The few that people look for first."""
    kept, done, word = history.kept, len(history.epochs), "right answers" if facts.multi_label else "accuracy"
    entries = []
    if kept is not None and kept.validation_accuracy is not None:
        entries.append(
            (f"Validation {word} of the model", f"{kept.validation_accuracy:.1%}", f"epoch {kept.number + 1}")
        )
    if history.epochs:
        last = history.epochs[-1]
        if last.validation_accuracy is not None:
            entries.append((f"Validation {word} at the end", f"{last.validation_accuracy:.1%}", f"epoch {done}"))
        altered = "on altered images" if facts.values.augmentation_type else ""
        entries.append((f"Training {word} at the end", f"{last.train_accuracy:.1%}", altered))
    entries.append(("Epochs", f"{done}", "" if done == facts.values.epochs else f"of {facts.values.epochs}"))
    entries.append(("Training took", _duration(sum(e.seconds for e in history.epochs)), "without validation"))
    return tiles(entries)


def trained(facts: Facts, history: History) -> Markup:
    values, kept = facts.values, history.kept
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
        ("Stored model", f"of epoch {kept.number + 1}" if kept else "as it was when training was stopped"),
        ("Ended", history.ended or "after its last epoch"),
    ]
    if facts.hosts > 1:
        entries.append(("Machines", f"{facts.hosts}; the training loss is that of the first one's share"))
    given = tables.names_and_values(settings(values), "Hyperparameters, as they were used")
    return section("What was trained", tables.names_and_values(entries, "The job"), folded("Hyperparameters", given))


# How it went ----------------------------------------------------------------------------------------------------------


def curves(facts: Facts, history: History) -> Markup:
    epochs = history.epochs
    if not epochs:
        return section(
            "How it went", "Training was stopped before its first epoch had ended: there is nothing to draw."
        )
    marks = [Mark(b.number + 1, f"rate {b.learning_rate:g}") for a, b in pairwise(epochs) if _drops(a, b)]
    ring = float(history.kept.number + 1) if history.kept else None
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


def epochs(history: History) -> Markup:
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


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"
