"""A page as a browser's parser sees it: which elements there are, with which attributes, and which text."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br"}


class Parsed(HTMLParser):
    """``tags``: (name, attributes) in order; ``text``: all text outside style and script; ``scripts``: their texts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags = list[tuple[str, dict[str, str | None]]]()
        self.text, self.scripts, self.open = "", list[str](), list[str]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not (self.open and self.open[-1] == "style"):
            self.text += data

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.tags]


def assert_harmless(page: str) -> Parsed:
    """Every element is closed; nothing is fetched from anywhere; the one program is ours; nothing else can run."""
    from darkroom.pages.look import SCRIPT

    found = Parsed(page)
    assert found.open == []
    programs = [text for (_, given), text in zip(_scripts(found), found.scripts, strict=True) if "type" not in given]
    assert programs == [SCRIPT]
    for name, given in found.tags:
        assert name not in ("iframe", "object", "embed", "form", "base", "link", "a"), name
        assert not [key for key in given if key.startswith("on")]
        for key in ("src", "href", "srcset", "action"):
            assert (given.get(key) or "data:").startswith("data:")
    return found


def _scripts(found: Parsed) -> list[tuple[str, dict[str, str | None]]]:
    return [tag for tag in found.tags if tag[0] == "script"]
