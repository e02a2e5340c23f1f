"""compilation-report.json and .html beside a compiled model: what was asked, what was done, what came of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from darkroom.pages import page as pages
from darkroom.pages.page import section
from darkroom.pages.tables import names_and_values

TITLE = "Compilation report"
JSON, HTML = "compilation-report.json", "compilation-report.html"


def write(folder: Path, report: Mapping[str, object]) -> None:
    (folder / JSON).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / HTML).write_text(page(report), encoding="utf-8")


def page(report: Mapping[str, object]) -> str:
    """One self-contained page: a table for each part of the report. Nothing in it is trusted to be HTML."""
    parts = [section(_words(name), _shown(value)) for name, value in report.items() if _is_part(value)]
    plain = {name: value for name, value in report.items() if not _is_part(value)}
    return pages.page(TITLE, [Markup("<h1>{}</h1>").format(TITLE), _table(plain), *parts])


def _is_part(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(v, Mapping) for v in value))


def _shown(value: object) -> Markup:
    if isinstance(value, Mapping):
        return _table(value)
    if isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        return Markup("").join(_shown(entry) for entry in value)
    if isinstance(value, list | tuple):
        return escape(", ".join(map(str, value)) or "none")
    if isinstance(value, bool):
        return escape("yes" if value else "no")
    if isinstance(value, float):
        return escape(f"{value:.6g}")
    return escape("–" if value is None else str(value))


def _table(entries: Mapping[str, object]) -> Markup:
    return names_and_values([(_words(name), _shown(value)) for name, value in entries.items()])


def _words(name: object) -> str:
    text = str(name).replace("_", " ")
    return text[:1].upper() + text[1:]


def lines(report: Mapping[str, object]) -> Sequence[str]:
    """The report as lines of a log, ``name: value``."""
    said = []
    for name, value in report.items():
        if isinstance(value, Mapping):
            said += [f"{name}.{key}: {entry}" for key, entry in value.items()]
        elif not _is_part(value):
            said.append(f"{name}: {value}")
    return said
