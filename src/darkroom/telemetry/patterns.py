"""CloudWatch Logs filter patterns of plain text → a predicate on messages.

Offered: terms that must all occur, ``"quoted phrases"``, ``?any ?of ?these`` and ``-terms`` that must not occur; letter
case counts. JSON (``{ $.x = 1 }``), column (``[a, b]``) and regular-expression (``%…%``) patterns are refused by name.
"""

import re
from collections.abc import Callable

from darkroom.errors import Invalid

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_REFUSED = {"{": "JSON", "[": "space-delimited", "%": "regular-expression"}


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether a message matches. As on AWS, ``?terms`` count only where every term is one. Raises Invalid."""
    text = pattern.strip()
    if text[:1] in _REFUSED:
        raise Invalid(
            f"{_REFUSED[text[0]]} filter patterns are not offered here; use terms, "
            f'"quoted phrases", ?any ?of ?these and -not: {pattern!r}'
        )
    required: list[str] = []
    optional: list[str] = []
    excluded: list[str] = []
    for sign, phrase, word in _TERM.findall(text):
        if word.startswith('"'):
            raise Invalid(f"Invalid filter pattern: a quotation mark has no partner in {pattern!r}")
        term = word or re.sub(r"\\(.)", r"\1", phrase)
        {"": required, "?": optional, "-": excluded}[sign].append(term)

    def matches(message: str) -> bool:
        if any(term in message for term in excluded) or not all(term in message for term in required):
            return False
        return bool(required) or not optional or any(term in message for term in optional)

    return matches
