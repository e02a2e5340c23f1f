"""One listing for every kind: SageMaker's List parameters in, one page of summaries out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from darkroom.control.listing import Page, Query

T = TypeVar("T")
ORDERS = {"Name": "name", "CreationTime": "created", "LastModifiedTime": "modified", "Status": "status"}
DEFAULT_LIMIT = 10


def query_of(params: Mapping[str, Any], descending: bool = True) -> Query:
    """The query that List parameters ask for; ``descending`` is the operation's own default order."""
    order = params.get("SortOrder")
    return Query(
        name_contains=params.get("NameContains", ""),
        created_after=params.get("CreationTimeAfter"),
        created_before=params.get("CreationTimeBefore"),
        modified_after=params.get("LastModifiedTimeAfter"),
        modified_before=params.get("LastModifiedTimeBefore"),
        status=params.get("StatusEquals"),
        sort_by=ORDERS[params.get("SortBy", "CreationTime")],
        descending=descending if order is None else order == "Descending",
        limit=params.get("MaxResults", DEFAULT_LIMIT),
        after=params.get("NextToken"),
    )


def listed(page: Page[T], member: str, summary: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """The result of a List operation."""
    result: dict[str, Any] = {member: [summary(item) for item in page.items]}
    return result | ({"NextToken": page.next} if page.next else {})


def present(**members: Any) -> dict[str, Any]:
    """Only the members that have a value: AWS leaves the others out."""
    return {name: value for name, value in members.items() if value not in (None, "")}
