"""What a listing asks for and answers, whatever it lists. The token names the last row's place in the order."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from darkroom.errors import Invalid

T = TypeVar("T")
ORDERS = ("name", "created", "modified", "status")


@dataclass(frozen=True)
class Query:
    """Filters are all to hold; times are exclusive, as "after" and "before" say."""

    name_contains: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    status: str | None = None
    sort_by: str = "created"
    descending: bool = True
    limit: int = 10
    after: str | None = None  # the ``next`` of the page before


@dataclass(frozen=True)
class Page(Generic[T]):
    items: Sequence[T]
    next: str | None


def token_of(sort_value: str, row_id: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort_value, row_id]).encode()).decode()


def place_of(token: str) -> tuple[str, int]:
    """Raises Invalid for a token that no listing handed out."""
    try:
        sort_value, row_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        return str(sort_value), int(row_id)
    except (ValueError, TypeError):
        raise Invalid(f"Invalid NextToken {token!r}: use the one that the page before answered") from None
