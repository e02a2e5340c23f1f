"""Whatever text goes into a page comes out as text; figures come out as they went in; only our script may run."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from darkroom.pages import charts, pictures, tables
from darkroom.pages.look import STYLE
from darkroom.pages.page import figures_of, folded, heading, page, paragraph, section, tiles
from tests.pages.parsed import assert_harmless

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>",
    "<!--",
    "&lt;b&gt;",
    "'",
    "]]>",
]
# HTML parsers turn carriage returns and NUL into something else; names hold neither once they are printable.
TEXT = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
)


def whole(text: str, figures=None) -> str:
    body = [
        heading(text, text),
        tiles([(text, text, text)]),
        section(text, paragraph(text), text, folded(text, paragraph(text, "soft"))),
        tables.table(
            [tables.Column(text), tables.Column(text, tables.NUMBER)], [(text, tables.Cell(text, text))], text, True
        ),
        tables.names_and_values([(text, text)], text),
        pictures.gallery([pictures.Picture(b"jpeg", text, text), pictures.Picture(None, text, text)]),
        pictures.strip([pictures.Picture(b"jpeg", text)]),
        charts.lines(text, [charts.Series(text, [(1, 2.0), (2, 3.0)])], text, [charts.Mark(2, text)], ring=2),
        charts.bars(text, [(text, 3)], text),
    ]
    return page(text, body, figures)


PLAIN = [(name, set(given)) for name, given in assert_harmless(whole("x")).tags]


@given(TEXT)
def test_any_text_is_text(text):
    found = assert_harmless(whole(text))
    assert [(name, set(given)) for name, given in found.tags] == PLAIN  # no element more, none less, no attribute
    assert found.text.count(text) >= 20
    assert {given["alt"] for name, given in found.tags if name == "img"} == {text}


@given(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.lists
    ),
)
def test_figures_come_out_as_they_went_in(text, value):
    figures = {"name": text, text: value}
    made = whole("x", figures)
    assert figures_of(made) == json.loads(json.dumps(figures))
    found = assert_harmless(made)
    assert len(found.scripts) == 2


@pytest.mark.parametrize("text", ["", "<p>", whole("x"), whole("x", {"a": 1}).replace('{"a":1}', "{"), "x" * 1000])
def test_other_pages_have_no_figures(text):
    assert figures_of(text) is None


def test_no_heading_is_wider_than_the_page():
    for head in ("h1", "h2", "h3"):
        assert re.search(rf"(^|\}} ){head} \{{[^}}]*overflow-wrap: anywhere", STYLE, re.MULTILINE), head


def test_the_policy_allows_our_script_and_no_other():
    found = assert_harmless(whole("x"))
    (policy,) = [given["content"] for name, given in found.tags if name == "meta" and "http-equiv" in given]
    digest = base64.b64encode(hashlib.sha256(found.scripts[0].encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_markup_of_ours_stays_markup():
    assert paragraph(Markup("<b>x</b>")) == "<p><b>x</b></p>"
    assert section("x", "a & b") == "<section>\n<h2>x</h2>\n<p>a &amp; b</p>\n</section>"
