"""compilation-report.json and .html beside a compiled model: what was asked, what was done, what came of it."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

JSON, HTML = "compilation-report.json", "compilation-report.html"

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{border-bottom:1px solid #ddd;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top}th{width:14rem;font-weight:600}h1{font-size:1.5rem}h2{font-size:1.1rem}"
)


def write(folder: Path, report: Mapping[str, object]) -> None:
    (folder / JSON).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / HTML).write_text(page(report), encoding="utf-8")


def page(report: Mapping[str, object]) -> str:
    """One self-contained page: a table for each part of the report. Nothing in it is trusted to be HTML."""
    parts = [f"<h2>{_words(name)}</h2>{_shown(value)}" for name, value in report.items() if _is_part(value)]
    plain = {name: value for name, value in report.items() if not _is_part(value)}
    body = f"<h1>Compilation report</h1>{_table(plain)}{''.join(parts)}"
    head = f'<meta charset="utf-8"><title>Compilation report</title><style>{_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>\n"


def _is_part(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(v, Mapping) for v in value))


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return _table(value)
    if isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        return "".join(_shown(entry) for entry in value)
    if isinstance(value, list | tuple):
        return html.escape(", ".join(map(str, value))) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else html.escape(str(value))


def _table(entries: Mapping[str, object]) -> str:
    rows = "".join(f"<tr><th>{_words(name)}</th><td>{_shown(value)}</td></tr>" for name, value in entries.items())
    return f"<table>{rows}</table>"


def _words(name: object) -> str:
    text = str(name).replace("_", " ")
    return html.escape(text[:1].upper() + text[1:])


def lines(report: Mapping[str, object]) -> Sequence[str]:
    """The report as lines of a log, ``name: value``."""
    said = []
    for name, value in report.items():
        if isinstance(value, Mapping):
            said += [f"{name}.{key}: {entry}" for key, entry in value.items()]
        elif not _is_part(value):
            said.append(f"{name}: {value}")
    return said
