"""The page of operations says what is so."""

import re
from pathlib import Path

from darkroom.services.reference import OFFERED, page, summary
from darkroom.wire.models import model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "operations.md"


def operations_of(text: str) -> set[str]:
    return set(re.findall(r"^\| ([A-Z]\w+) \|", text, re.MULTILINE))


def test_the_page_in_the_repository_lists_exactly_what_is_offered():
    """Where it does not: python -m darkroom.services.reference > docs/reference/operations.md"""
    offered = {model(service).names[snake] for service, names in OFFERED.items() for snake in names}
    assert operations_of(PAGE.read_text()) == offered == operations_of(page())


def test_every_service_is_counted():
    text = page()
    for service, names in OFFERED.items():
        rest = len(model(service).operations) - len(names)
        assert re.search(rf"\(`{service}`\) \| [a-z, -]+ \| {len(names)} \| {rest} \|", text)


def test_a_summary_is_the_first_sentence_without_markup():
    html = "<note><p>Old.</p></note> <p>Creates an <code>ID</code> &amp; more. <a href='x'>See</a> this.</p>"
    assert summary(html) == "Creates an ID & more"
    assert len(summary("<p>" + "word " * 100 + "</p>")) < 170
