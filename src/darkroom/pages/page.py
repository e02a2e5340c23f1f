"""One self-contained HTML page: the frame and the look that every page of ours shares.

It needs no network and asks for none: pictures are data, and a content security policy forbids every script but the one
here, so that a name that slipped in as HTML could do nothing. Text is escaped by its type: whatever is no ``Markup``
becomes text. Knows no model, no dataset and no file.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from darkroom.pages.look import SCRIPT, STYLE

_FIGURES = re.compile(r'<script type="application/json" id="figures">(.*?)</script>', re.DOTALL)


def page(title: str, body: Iterable[Markup], figures: Mapping[str, Any] | None = None) -> str:
    """The whole file. ``figures`` lie in it as JSON, for programs; ``figures_of`` reads them again."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = Markup(
        '<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{}</title>\n'
    ).format(policy, title)
    style, script = Markup(f"<style>{STYLE}</style>\n"), Markup(f"<script>{SCRIPT}</script>\n")
    content = Markup("\n").join(body)
    data = Markup("") if figures is None else _data(figures)
    whole = Markup('<!doctype html>\n<html lang="en">\n<head>\n{}{}</head>\n<body>\n{}\n{}{}</body>\n</html>\n')
    return str(whole.format(head, style, content, data, script))


def figures_of(page: str) -> dict[str, Any] | None:
    """What was given to ``page`` as its figures; None where there are none, or they are not ours."""
    found = _FIGURES.search(page)
    if not found:
        return None
    try:
        figures = json.loads(found[1])
    except ValueError:
        return None
    return figures if isinstance(figures, dict) else None


def section(title: str, *parts: Markup | str, long: bool = False) -> Markup:
    """``long``: may be broken over printed pages. Parts that are plain text become paragraphs."""
    content = Markup("\n").join(part if isinstance(part, Markup) else paragraph(part) for part in parts if part)
    kind = Markup(' class="long"') if long else ""
    return Markup("<section{}>\n<h2>{}</h2>\n{}\n</section>").format(kind, title, content)


def heading(title: str, said: str) -> Markup:
    return Markup('<h1>{}</h1>\n<p class="soft">{}</p>').format(title, said)


def paragraph(text: str | Markup, kind: str = "") -> Markup:
    return Markup('<p class="{}">{}</p>').format(kind, text) if kind else Markup("<p>{}</p>").format(text)


def tiles(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """The few figures that people look for: (name, value, what to know of it)."""
    inner = Markup("").join(
        Markup("<div><dt>{}</dt><dd>{}{}</dd></div>").format(
            name, value, Markup("<small>{}</small>").format(note) if note else ""
        )
        for name, value, note in entries
    )
    return Markup('<dl class="tiles">{}</dl>').format(inner)


def folded(summary: str, content: Markup) -> Markup:
    """Shown when asked for."""
    return Markup("<details><summary>{}</summary>\n{}\n</details>").format(summary, content)


def _data(figures: Mapping[str, Any]) -> Markup:
    text = json.dumps(figures, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Markup(f'<script type="application/json" id="figures">{safe}</script>\n')
