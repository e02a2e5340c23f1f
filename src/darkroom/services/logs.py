"""CloudWatch Logs: says ``telemetry.logs`` in AWS's words. Times are epoch milliseconds, as in its API."""

import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from darkroom.errors import Conflict, DarkroomError, Invalid, NotFound, Unavailable
from darkroom.telemetry.logs import Group, LogStore, Stream
from darkroom.telemetry.patterns import compile_pattern
from darkroom.telemetry.search import PAGE_EVENTS
from darkroom.telemetry.streams import Event
from darkroom.wire.messages import Call, ServiceError
from darkroom.wire.operations import Handler, Operations

PAGE_NAMES = 50  # groups or streams
DAY_MS = 24 * 3600 * 1000
TOO_OLD_MS, TOO_NEW_MS = 14 * DAY_MS, 2 * 3600 * 1000  # PutLogEvents passes over what lies outside
SEQUENCE_TOKEN = "0" * 56  # long without meaning, but old clients keep it


@dataclass(frozen=True)
class Logs:
    store: LogStore
    account: str
    now: Callable[[], datetime]

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def arn(self, call: Call, group: str) -> str:
        return f"arn:aws:logs:{call.caller.region}:{self.account}:log-group:{group}"


class LogsOperations(Operations):
    """The decorator of handlers ``(part, call) -> result members``; the platform's errors leave in AWS's words."""

    def __call__(self, handler: Handler) -> Handler:
        @wraps(handler)
        def worded(part: Logs, call: Call) -> Any:
            try:
                return handler(part, call)
            except DarkroomError as error:
                raise _in_aws_words(error) from error

        return super().__call__(worded)


LOGS = LogsOperations("logs")


@LOGS
def create_log_group(part: Logs, call: Call) -> None:
    part.store.create_group(call.params["logGroupName"], part.now_ms())


@LOGS
def create_log_stream(part: Logs, call: Call) -> None:
    part.store.create_stream(call.params["logGroupName"], call.params["logStreamName"])


@LOGS
def delete_log_group(part: Logs, call: Call) -> None:
    part.store.delete_group(call.params["logGroupName"])


@LOGS
def delete_log_stream(part: Logs, call: Call) -> None:
    part.store.delete_stream(call.params["logGroupName"], call.params["logStreamName"])


@LOGS
def describe_log_groups(part: Logs, call: Call) -> dict[str, Any]:
    prefix, pattern = call.params.get("logGroupNamePrefix"), call.params.get("logGroupNamePattern")
    if prefix and pattern:
        raise Invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    if identifiers := call.params.get("logGroupIdentifiers"):
        wanted = {_name_in(identifier) for identifier in identifiers}
        return {
            "logGroups": [_group(part, call, g) for g in part.store.groups(limit=sys.maxsize)[0] if g.name in wanted]
        }
    groups, token = part.store.groups(
        prefix or "",
        contains=pattern or "",
        limit=call.params.get("limit", PAGE_NAMES),
        token=call.params.get("nextToken"),
    )
    return {"logGroups": [_group(part, call, group) for group in groups], "nextToken": token}


@LOGS
def describe_log_streams(part: Logs, call: Call) -> dict[str, Any]:
    group, by_time = _group_name(call.params), call.params.get("orderBy") == "LastEventTime"
    prefix = call.params.get("logStreamNamePrefix", "")
    if by_time and prefix:
        raise Invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    streams, token = part.store.streams(
        group,
        prefix,
        by_time=by_time,
        descending=call.params.get("descending", False),
        limit=call.params.get("limit", PAGE_NAMES),
        token=call.params.get("nextToken"),
    )
    # Without a next token at the end: the SDKs ask again for as long as they see one.
    return {"logStreams": [_stream(part.arn(call, group), stream) for stream in streams], "nextToken": token}


@LOGS
def get_log_events(part: Logs, call: Call) -> dict[str, Any]:
    page = part.store.events(
        _group_name(call.params),
        call.params["logStreamName"],
        start_ms=call.params.get("startTime"),
        end_ms=call.params.get("endTime"),
        limit=call.params.get("limit", PAGE_EVENTS),
        token=call.params.get("nextToken"),
        from_head=call.params.get("startFromHead", False),
    )
    return {
        "events": [_event(event) for event in page.events],
        "nextForwardToken": page.forward,
        "nextBackwardToken": page.backward,
    }


@LOGS
def filter_log_events(part: Logs, call: Call) -> dict[str, Any]:
    names, prefix, end_ms = (call.params.get(k) for k in ("logStreamNames", "logStreamNamePrefix", "endTime"))
    if names and prefix:
        raise Invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
    if not call.params.get("startFromHead", True):
        raise Invalid("startFromHead=false is not offered here: events come earliest first. Narrow startTime instead.")
    found = part.store.filter(
        _group_name(call.params),
        streams=names,
        prefix=prefix or "",
        start_ms=call.params.get("startTime", 0),
        end_ms=None if end_ms is None else end_ms + 1,  # inclusive here, unlike in GetLogEvents
        matches=compile_pattern(call.params.get("filterPattern", "")),
        limit=call.params.get("limit", PAGE_EVENTS),
        token=call.params.get("nextToken"),
    )
    return {
        "events": [
            {"logStreamName": stream, **_event(event), "eventId": _event_id(stream, event)}
            for stream, event in found.events
        ],
        "searchedLogStreams": [],
        "nextToken": found.next,
    }


@LOGS
def put_log_events(part: Logs, call: Call) -> dict[str, Any]:
    group, stream, now_ms = call.params["logGroupName"], call.params["logStreamName"], part.now_ms()
    times = [event["timestamp"] for event in call.params["logEvents"]]
    if times != sorted(times):
        raise Invalid("Log events in a single PutLogEvents request must be in chronological order.")
    part.store.stream(group, stream)  # it must exist
    old = sum(time < now_ms - TOO_OLD_MS for time in times)
    fitting = sum(time <= now_ms + TOO_NEW_MS for time in times)
    taken = call.params["logEvents"][old:fitting]
    part.store.append(group, stream, [(event["timestamp"], event["message"]) for event in taken])
    rejected = {}
    if old:
        rejected["tooOldLogEventEndIndex"] = old
    if fitting < len(times):
        rejected["tooNewLogEventStartIndex"] = fitting
    return {"nextSequenceToken": SEQUENCE_TOKEN, "rejectedLogEventsInfo": rejected or None}


def _group(part: Logs, call: Call, group: Group) -> dict[str, Any]:
    arn = part.arn(call, group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": group.size_bytes,
    }


def _stream(group_arn: str, stream: Stream) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_ms,
        "lastEventTimestamp": stream.last_ms,
        "lastIngestionTime": None if stream.last_ms is None else stream.written_ms,
        "uploadSequenceToken": SEQUENCE_TOKEN,
        "arn": f"{group_arn}:log-stream:{stream.name}",
        "storedBytes": 0,  # as on AWS since 2019
    }


def _event(event: Event) -> dict[str, Any]:
    return {"timestamp": event.timestamp_ms, "message": event.message, "ingestionTime": event.timestamp_ms}


def _event_id(stream: str, event: Event) -> str:
    """56 digits, as AWS's are: the time, the stream and the place in it."""
    return f"{event.timestamp_ms:013d}{zlib.crc32(stream.encode()):010d}{event.start:033d}"


def _group_name(params: Mapping[str, Any]) -> str:
    """The group of a request that may name it, or give its ARN."""
    name, identifier = params.get("logGroupName"), params.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise Invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
    return str(name or _name_in(str(identifier)))


def _name_in(identifier: str) -> str:
    """The name of a group given by name or ARN."""
    return identifier.partition(":log-group:")[2].removesuffix(":*") or identifier


def _in_aws_words(error: DarkroomError) -> ServiceError:
    match error:
        case NotFound(kind=kind):
            return ServiceError("ResourceNotFoundException", f"The specified {kind} does not exist.")
        case Conflict(kind=kind):
            return ServiceError("ResourceAlreadyExistsException", f"The specified {kind} already exists")
        case Invalid():
            return ServiceError("InvalidParameterException", str(error))
        case Unavailable():
            return ServiceError("ServiceUnavailableException", str(error), 503)
    raise error
