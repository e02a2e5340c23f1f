"""The report of a training job as one page: what was trained, its curves, what it takes for what, its worst mistakes.

Pure: facts, a history and thumbnails in, text out. Names of classes and files come from strangers' folders; the
page's own types make text of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from darkroom.algorithm.report import model, training
from darkroom.algorithm.report.facts import Facts
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.model import MOST_PAIRS, Shown
from darkroom.algorithm.report.standing import ClassStanding, Pair, confused, standings
from darkroom.pages.page import heading, page, section

NO_VALIDATION = (
    "The job had no validation channel, so there is no confusion matrix, no figures for each class and no list of "
    "mistakes: on the images that it learned from, a network's mistakes say little. Give the next job a channel named "
    "validation with images that the train channel does not hold."
)
NO_ANSWERS = (
    "The model was stored as training was stopped, before it was validated: there are no figures for each class."
)


def report(facts: Facts, history: History, shown: Sequence[Shown]) -> str:
    """The whole page. ``shown``: the worst mistakes."""
    answers, several = history.answers, facts.multi_label
    rows = [] if answers is None else standings(answers, facts.classes, several)
    found = [] if answers is None or several else confused(answers)
    body = [
        heading("Training report", training.subtitle(facts, history)),
        training.figures(facts, history),
        training.curves(facts, history),
    ]
    if rows:
        if not several:
            body.append(model.confusions(facts, history, found))
        body += [model.worst(facts, history, shown), model.every_class(facts, rows)]
    else:
        reason = NO_VALIDATION if facts.validation_images is None else NO_ANSWERS
        body.append(section("Classes and mistakes", reason))
    body += [training.trained(facts, history), training.epochs(history)]
    title = f"Training report: {facts.job}" if facts.job else "Training report"
    return page(title, body, figures(facts, history, rows, found))


def figures(facts: Facts, history: History, rows: Sequence[ClassStanding], found: Sequence[Pair]) -> Mapping[str, Any]:
    """What the page says, for programs. Classes are named; what is no number is null."""
    kept = history.kept
    return {
        "job": facts.job,
        "network": facts.network,
        "images": {"train": facts.train_images, "validation": facts.validation_images},
        "classes": facts.classes,
        "multi_label": facts.multi_label,
        "ended": history.ended,
        "epochs": [{name: _number(value) for name, value in asdict(epoch).items()} for epoch in history.epochs],
        "stored_epoch": kept.number + 1 if kept else None,
        "accuracy": _number(kept.validation_accuracy) if kept else None,
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
