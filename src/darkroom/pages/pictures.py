"""Pictures inside a page, each with words for those who cannot see it. Knows bytes and captions, decodes nothing."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

JPEG, PNG = "image/jpeg", "image/png"


@dataclass(frozen=True)
class Picture:
    """``data``: an encoded picture; None where there is none to show. ``words`` stand in for it."""

    data: bytes | None
    words: str
    caption: Markup | str = ""


def image(data: bytes, words: str, kind: str = JPEG, css: str = "") -> Markup:
    text = base64.b64encode(data).decode()
    style = Markup(' class="{}"').format(css) if css else ""
    return Markup('<img alt="{}" src="data:{};base64,{}"{}>').format(words, kind, text, style)


def gallery(pictures: Iterable[Picture]) -> Markup:
    """Pictures with their captions below them."""
    items = Markup("\n").join(
        Markup("<li><figure>{}<figcaption>{}</figcaption></figure></li>").format(_shown(picture), picture.caption)
        for picture in pictures
    )
    return Markup('<ul class="pictures">\n{}\n</ul>').format(items)


def strip(pictures: Iterable[Picture]) -> Markup:
    """Small pictures in a row."""
    return Markup('<div class="strip">{}</div>').format(
        Markup("").join(image(picture.data, picture.words) for picture in pictures if picture.data is not None)
    )


def _shown(picture: Picture) -> Markup:
    if picture.data is None:
        return Markup('<div class="none soft">{}</div>').format("no picture")
    return image(picture.data, picture.words)
