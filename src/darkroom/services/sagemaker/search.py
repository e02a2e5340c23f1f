"""Search over training jobs: filters on what DescribeTrainingJob says, on metrics, hyperparameters and tags.

Properties are the paths of AWS's own search: ``TrainingJobStatus``, ``HyperParameters.epochs``,
``Metrics.validation:accuracy``, ``Tags.team``, ``ResourceConfig.InstanceType``.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from darkroom.control.listing import Query, place_of, token_of
from darkroom.control.plane import Control
from darkroom.services.sagemaker.operations import operation
from darkroom.services.sagemaker.training import described
from darkroom.wire.messages import Call, ServiceError

DEFAULT_LIMIT = 10
PAGE = 100
Record = Mapping[str, Any]
Comparison = Callable[[Any, Any], bool]
COMPARISONS: dict[str, Comparison] = {
    "Equals": lambda has, asked: bool(has == asked),
    "NotEquals": lambda has, asked: bool(has != asked),
    "GreaterThan": lambda has, asked: bool(has > asked),
    "GreaterThanOrEqualTo": lambda has, asked: bool(has >= asked),
    "LessThan": lambda has, asked: bool(has < asked),
    "LessThanOrEqualTo": lambda has, asked: bool(has <= asked),
}


@operation
def search(control: Control, call: Call) -> dict[str, Any]:
    params = call.params
    if params["Resource"] != "TrainingJob":
        raise ServiceError(
            "ValidationException", f"Search over {params['Resource']} is not offered here: TrainingJob is."
        )
    expression = params.get("SearchExpression", {})
    found = [record for record in _records(control) if matches(record, expression)]
    by, descending = params.get("SortBy", "LastModifiedTime"), params.get("SortOrder", "Descending") == "Descending"
    found = [r for r in found if value_of(r, by) is not None]
    found.sort(key=lambda record: _sortable(value_of(record, by)), reverse=descending)
    start = place_of(params["NextToken"])[1] if "NextToken" in params else 0
    stop = start + params.get("MaxResults", DEFAULT_LIMIT)
    more = {"NextToken": token_of("search", stop)} if stop < len(found) else {}
    total = {"Value": len(found), "Relation": "EqualTo"}
    return {"Results": [{"TrainingJob": record} for record in found[start:stop]], "TotalHits": total, **more}


def matches(record: Record, expression: Record) -> bool:
    """Whether a described job fits a SearchExpression: all of its conditions, or any where its Operator is Or."""
    if expression.get("NestedFilters"):
        raise ServiceError(
            "ValidationException", "NestedFilters are not offered here: use Filters with a path as Name."
        )
    results = [_holds(record, condition) for condition in expression.get("Filters", ())]
    results += [matches(record, inner) for inner in expression.get("SubExpressions", ())]
    return (any if expression.get("Operator") == "Or" else all)(results) if results else True


def value_of(record: Record, path: str) -> Any:
    """What ``path`` names in a described job; None where it is not there."""
    head, _, rest = path.partition(".")
    if head == "Metrics":
        return next((m["Value"] for m in record.get("FinalMetricDataList", ()) if m["MetricName"] == rest), None)
    if head == "Tags" and rest:
        return next((tag["Value"] for tag in record.get("Tags", ()) if tag["Key"] == rest), None)
    if head == "HyperParameters":
        return record.get(head, {}).get(rest)
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _holds(record: Record, condition: Record) -> bool:
    has, asked = value_of(record, condition["Name"]), str(condition.get("Value", ""))
    operator: str = condition.get("Operator", "Equals")
    if operator in ("Exists", "NotExists"):
        return (has is not None) == (operator == "Exists")
    if has is None:
        return operator == "NotEquals"
    if operator == "Contains":
        return asked in str(has)
    if operator == "In":
        return any(COMPARISONS["Equals"](*_alike(has, part.strip())) for part in asked.split(","))
    return COMPARISONS[operator](*_alike(has, asked))


def _alike(has: Any, asked: str) -> tuple[Any, Any]:
    """Both as times, as truths, as numbers where both are, else as text."""
    try:
        if isinstance(has, bool):
            return str(has).lower(), asked.lower()
        if isinstance(has, datetime):
            moment = datetime.fromisoformat(asked)
            return has, moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return float(has), float(asked)
    except (TypeError, ValueError):
        return str(has), asked


def _sortable(value: Any) -> tuple[int, Any]:
    if isinstance(value, datetime):
        return 0, value.timestamp()
    try:
        return 0, float(value)
    except (TypeError, ValueError):
        return 1, str(value)


def _records(control: Control) -> Iterator[Record]:
    query = Query(limit=PAGE)
    while True:
        page = control.training_jobs(query)
        for job in page.items:
            tags = [{"Key": key, "Value": value} for key, value in control.tags(job.arn).items()]
            yield described(job) | {"Tags": tags}
        if page.next is None:
            return
        query = Query(limit=PAGE, after=page.next)
