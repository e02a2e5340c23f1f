"""Two endpoints asked in turns, so that both see the same machine: times of whole requests, and the answers.

A request is signed before its clock starts; what is timed is the wire: sending, signature check, model, answer. Knows
HTTP and probabilities, and not where the photos come from.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from darkroom.cli.console import Failure

WARM_UP = 10  # requests of each side that do not count
CONTENT_TYPE, ACCEPT = "application/x-image", "application/jsonlines;verbose"
QUANTILES = (0.5, 0.9, 0.99)
TIMEOUT_S = 120
REFUSED = 424  # a ModelError: the model had something to say against the photo

Answer = tuple[float, Any]


@dataclass(frozen=True)
class Photo:
    """``label``: the class's number, or its name; None where nobody said."""

    data: bytes
    label: int | str | None = None


@dataclass
class Side:
    """What one endpoint did. ``answers``: of the photos, by their place, the number and the name of the best class."""

    name: str
    endpoint: str
    times_s: list[float] = field(default_factory=list)
    answers: dict[int, tuple[int, str]] = field(default_factory=dict)

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.times_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3

    def accuracy(self, photos: Sequence[Photo]) -> float | None:
        """Share of right answers, None where no photo says what is on it."""
        judged = [
            is_right(photos[k].label, answer) for k, answer in self.answers.items() if photos[k].label is not None
        ]
        return sum(judged) / len(judged) if judged else None


def is_right(label: int | str | None, answer: tuple[int, str]) -> bool:
    number, name = answer
    return label == (name if isinstance(label, str) else number)


def agreement(a: Side, b: Side) -> float:
    """Share of photos for which both named the same class."""
    common = a.answers.keys() & b.answers.keys()
    return sum(a.answers[k][0] == b.answers[k][0] for k in common) / len(common) if common else 0.0


class Line:
    """One connection that stays open. ``ask`` answers the seconds it took, and the body; None for a refused photo."""

    def __init__(self, url: str, credentials: Credentials, region: str) -> None:
        self._host = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)
        self._signer = SigV4Auth(credentials, "sagemaker", region)

    def ask(self, endpoint: str, photo: bytes, clock: Callable[[], float]) -> Answer | None:
        """Raises Failure where the fault is not the photo's."""
        path = f"/endpoints/{quote(endpoint)}/invocations"
        headers = {"Host": self._host, "Content-Type": CONTENT_TYPE, "Accept": ACCEPT}
        signed = AWSRequest("POST", f"http://{self._host}{path}", headers, photo)
        self._signer.add_auth(signed)
        given = dict(signed.headers.items())
        began = clock()
        self._connection.request("POST", path, photo, given)
        response = self._connection.getresponse()
        body = response.read()
        took = clock() - began
        if response.status == REFUSED:
            return None
        if response.status != 200:
            raise Failure(f"{endpoint} answered {response.status}: {body[:300].decode('utf-8', 'replace')}")
        return took, json.loads(body)

    def close(self) -> None:
        self._connection.close()


def race(
    line: Line,
    sides: Sequence[Side],
    photos: Sequence[Photo],
    requests: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[int]:
    """Asks every side ``requests`` times, photo by photo, in turns; yields how many rounds are done.

    A photo that one of them refuses counts for none. Raises Failure.
    """
    for k in range(WARM_UP):
        _round(line, sides, photos[k % len(photos)].data, clock)
    places, done = list(range(len(photos))), 0
    while done < requests:
        if not places:
            raise Failure("no photo could be answered; see what an endpoint says of one: darkroom predict")
        place = places[done % len(places)]
        turn = sides if done % 2 == 0 else sides[::-1]  # neither always comes after the other
        answers = _round(line, turn, photos[place].data, clock)
        if answers is None:
            places.remove(place)
            continue
        for side, (took, said) in zip(turn, answers, strict=True):
            side.times_s.append(took)
            side.answers[place] = best(said)
        done += 1
        yield done


def _round(line: Line, sides: Sequence[Side], photo: bytes, clock: Callable[[], float]) -> list[Answer] | None:
    answers = [line.ask(side.endpoint, photo, clock) for side in sides]
    good = [answer for answer in answers if answer is not None]
    return good if len(good) == len(answers) else None


def best(said: Mapping[str, Any]) -> tuple[int, str]:
    probabilities = said["probabilities"]
    number = max(range(len(probabilities)), key=probabilities.__getitem__)
    return number, str(said["labels"][number])
