"""Code cells of a published notebook, read from its text form: reStructuredText or Markdown."""

import re
import textwrap
from pathlib import Path

# `.. code:: ipython3`, a blank line, then everything indented
RST_BLOCK = re.compile(r"^\.\. code:: (\w+)\n((?:[ \t]*\n|[ \t]+\S.*\n?)+)", re.MULTILINE)
MARKDOWN_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def cells(document: Path) -> list[str]:
    """Code cells in order, as text; indentation of the document removed, nothing else changed."""
    text = document.read_text()
    blocks = RST_BLOCK if RST_BLOCK.search(text) else MARKDOWN_BLOCK
    return [textwrap.dedent(body).strip("\n") for _, body in blocks.findall(text)]


def between(found: list[str], first: str, last: str) -> list[str]:
    """The cells from the one that holds ``first`` to the one that holds ``last`` (the first such after it)."""
    start = next(i for i, cell in enumerate(found) if first in cell)
    stop = next(i for i, cell in enumerate(found) if i >= start and last in cell)
    return found[start : stop + 1]
