"""The statement of one listing: filters, order, and where to go on. Rows that come or go meanwhile shift nothing."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, asc, desc, or_, select

from darkroom.control.listing import Query, place_of, token_of
from darkroom.control.resources import Kind, Resource
from darkroom.control.store.tables import resources

ORDERS = {
    "name": resources.c.name,
    "created": resources.c.created,
    "modified": resources.c.modified,
    "status": resources.c.status,
}


def statement(kind: Kind, query: Query, *columns: Any) -> Select[Any]:
    """Rows of one page, and one more where another page follows."""
    c = resources.c
    chosen = select(*columns).where(c.kind == kind.value, c.deleted.is_(None))
    if query.name_contains:
        chosen = chosen.where(c.name.contains(query.name_contains, autoescape=True))
    if query.status is not None:
        chosen = chosen.where(c.status == query.status)
    for column, after, before in (
        (c.created, query.created_after, query.created_before),
        (c.modified, query.modified_after, query.modified_before),
    ):
        if after is not None:
            chosen = chosen.where(column > after)
        if before is not None:
            chosen = chosen.where(column < before)
    order = ORDERS[query.sort_by]
    if query.after is not None:
        chosen = chosen.where(_beyond(query, *place_of(query.after)))
    direction = desc if query.descending else asc
    return chosen.order_by(direction(order), direction(c.id)).limit(query.limit + 1)


def _beyond(query: Query, sort_value: str, row_id: int) -> Any:
    order = ORDERS[query.sort_by]
    value: Any = datetime.fromisoformat(sort_value) if query.sort_by in ("created", "modified") else sort_value
    tie = resources.c.id < row_id if query.descending else resources.c.id > row_id
    past = order < value if query.descending else order > value
    return or_(past, and_(order == value, tie))


def token_after(query: Query, last: Resource) -> str:
    value = getattr(last, query.sort_by)
    return token_of(value.isoformat() if isinstance(value, datetime) else value, last.id)
