from pathlib import Path

from darkroom import settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "settings.md"


def test_the_page_says_what_the_table_says() -> None:
    """`make docs` writes it anew."""
    assert PAGE.read_text() == settings.page()
