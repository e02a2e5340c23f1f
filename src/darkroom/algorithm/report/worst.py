"""The worst mistakes with their names and pictures, from whichever hosts have the images.

Lets nothing through: a mistake that cannot be shown is a warning in the log, or a mistake without its picture.
"""

import base64
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from darkroom.algorithm.data.images import UNREADABLE, ImageSet
from darkroom.algorithm.hosts import ALONE, Hosts
from darkroom.algorithm.report.file_names import FileNames
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.model import Shown
from darkroom.algorithm.report.standing import mistakes
from darkroom.imaging.thumbnail import thumbnail

SIDE = 112  # pixels of a thumbnail
MOST_SECONDS = 10.0  # for thumbnails: a job that was told to stop has little time
ELSEWHERE = ("an image of another machine", None)  # which could not be asked any more

Seen = dict[str, tuple[str, str | None]]  # by the image's number: its name, and its thumbnail in base64


@dataclass(frozen=True)
class Part:
    """The validation images of this host: those from number ``begin`` on among the ones that were answered."""

    images: ImageSet
    begin: int = 0


def shown(
    history: History,
    several: bool,
    part: Part | None,
    log: logging.Logger,
    hosts: Hosts = ALONE,
    clock: Callable[[], float] = time.monotonic,
) -> list[Shown]:
    """The worst mistakes of the stored model, as they can be shown. All ``hosts`` call it; the first one's is whole,
    and it alone needs to know the answers. ``several``: images have several labels."""
    if part is None:
        return []
    try:
        worst = [] if history.answers is None else mistakes(history.answers, several)
        asked = hosts.everyone([mistake.k for mistake in worst])[0]
        seen = Seen()
        for told in hosts.everyone(_seen(part, asked, clock)):
            seen |= told
    except Exception as error:
        log.warning("The mistakes are not in the report: %s: %s", type(error).__name__, error)
        return []
    named = [(mistake, *seen.get(str(mistake.k), ELSEWHERE)) for mistake in worst]
    return [Shown(mistake, name, picture and base64.b64decode(picture)) for mistake, name, picture in named]


def _seen(part: Part, asked: Iterable[int], clock: Callable[[], float]) -> Seen:
    """Those that this host has."""
    end, seen, names = clock() + MOST_SECONDS, Seen(), FileNames(part.images)
    for k in asked:
        if 0 <= (own := k - part.begin) < len(part.images):
            picture = None if clock() > end else _thumbnail(part.images, own)
            seen[str(k)] = (names[own], picture and base64.b64encode(picture).decode())
    return seen


def _thumbnail(images: ImageSet, k: int) -> bytes | None:
    try:
        return thumbnail(images.read(k), SIDE)
    except UNREADABLE:
        return None
