"""CloudWatch Logs through boto3: what the SDKs and the command line ask and match on."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from darkroom.services.logs import LOGS, Logs
from darkroom.telemetry.logs import LogStore
from darkroom.wire.service import Service
from tests.services.wired import client, wired

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
GROUP, STREAM = "/aws/sagemaker/TrainingJobs", "job/algo-1-1581317035"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    store = LogStore(tmp_path_factory.mktemp("logs"))
    with wired({"logs": Service("logs", LOGS.bind(Logs(store, "123456789012", lambda: NOW)))}) as url:
        yield store, client(url, "logs")


@pytest.fixture
def store(front: Any) -> LogStore:
    for group in front[0].groups()[0]:
        front[0].delete_group(group.name)
    return front[0]


@pytest.fixture
def logs(front: Any, store: LogStore) -> Any:
    return front[1]


def refused(operation: Callable[..., object], **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        operation(**params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_the_sdks_way_to_the_log_of_a_job(store: LogStore, logs: Any) -> None:
    assert refused(logs.describe_log_streams, logGroupName=GROUP, logStreamNamePrefix="job/") == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    store.append(GROUP, STREAM, [(5, "first"), (7, "Epoch[0] Batch [20]\tSpeed: 1")])
    found = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="job/", orderBy="LogStreamName", limit=1)
    assert [stream["logStreamName"] for stream in found["logStreams"]] == [STREAM]
    assert "nextToken" not in found, "SDK 1 and 2 would ask for ever"
    given = {"logGroupName": GROUP, "logStreamName": STREAM, "startFromHead": True}
    page = logs.get_log_events(**given)
    assert [(e["timestamp"], e["message"]) for e in page["events"]] == [
        (5, "first"),
        (7, "Epoch[0] Batch [20]#011Speed: 1"),
    ]
    empty = logs.get_log_events(**given, nextToken=page["nextForwardToken"])
    assert (empty["events"], empty["nextForwardToken"]) == ([], page["nextForwardToken"])
    store.append(GROUP, STREAM, [(9, "later")])
    later = logs.get_log_events(**given, nextToken=empty["nextForwardToken"])
    assert [event["message"] for event in later["events"]] == ["later"]
    assert [e["timestamp"] for e in logs.get_log_events(**given, startTime=7)["events"]] == [7, 9]
    assert [e["timestamp"] for e in logs.get_log_events(**given, endTime=7)["events"]] == [5]


def test_streams_are_described(store: LogStore, logs: Any) -> None:
    store.append(GROUP, STREAM, [(5, "first"), (7, "last")])
    stream = logs.describe_log_streams(logGroupIdentifier=f"arn:aws:logs:eu-west-1:123456789012:log-group:{GROUP}")[
        "logStreams"
    ][0]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"], stream["creationTime"]) == (5, 7, 5)
    assert stream["arn"] == f"arn:aws:logs:eu-west-1:123456789012:log-group:{GROUP}:log-stream:{STREAM}"


def test_groups_are_described_by_page(store: LogStore, logs: Any) -> None:
    for name in ("/a", "/b", "/c"):
        logs.create_log_group(logGroupName=name)
    pages = list(logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 2}))
    assert [[group["logGroupName"] for group in page["logGroups"]] for page in pages] == [["/a", "/b"], ["/c"]]
    group = pages[0]["logGroups"][0]
    assert (group["creationTime"], group["storedBytes"]) == (NOW_MS, 0)
    assert group["arn"] == "arn:aws:logs:eu-west-1:123456789012:log-group:/a:*"
    by_arn = logs.describe_log_groups(logGroupIdentifiers=[group["logGroupArn"], "/c", "/none"])["logGroups"]
    assert [group["logGroupName"] for group in by_arn] == ["/a", "/c"]
    by_pattern = logs.describe_log_groups(logGroupNamePattern="B")["logGroups"]
    assert [group["logGroupName"] for group in by_pattern] == ["/b"]


def test_filtering_goes_over_streams_and_pages(store: LogStore, logs: Any) -> None:
    group = "/aws/sagemaker/Endpoints/flowers"
    for worker in ("a", "b"):
        store.append(
            group, f"AllTraffic/{worker}", [(i, f"{worker}{i} {'ERROR' if i % 2 else 'INFO'}") for i in range(6)]
        )
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, logStreamNamePrefix="AllTraffic/", filterPattern="ERROR", PaginationConfig={"PageSize": 4}
    )
    events = [event for page in pages for event in page["events"]]
    assert [event["message"] for event in events] == [f"{w}{i} ERROR" for i in (1, 3, 5) for w in "ab"]
    assert {event["logStreamName"] for event in events} == {"AllTraffic/a", "AllTraffic/b"}
    assert len({event["eventId"] for event in events}) == 6
    assert all(re.fullmatch(r"\d{56}", event["eventId"]) for event in events)
    window = logs.filter_log_events(logGroupName=group, startTime=2, endTime=3, logStreamNames=["AllTraffic/a"])
    assert [event["message"] for event in window["events"]] == ["a2 INFO", "a3 ERROR"]  # both ends belong to it


def test_ones_own_logs(store: LogStore, logs: Any) -> None:
    logs.create_log_group(logGroupName="/mine")
    logs.create_log_stream(logGroupName="/mine", logStreamName="s")
    events = [{"timestamp": NOW_MS - 1000 + i, "message": f"line {i}\nof two"} for i in range(2)]
    answer = logs.put_log_events(logGroupName="/mine", logStreamName="s", logEvents=events)
    assert "rejectedLogEventsInfo" not in answer
    found = logs.get_log_events(logGroupName="/mine", logStreamName="s")["events"]
    assert [{"timestamp": e["timestamp"], "message": e["message"]} for e in found] == events
    logs.delete_log_stream(logGroupName="/mine", logStreamName="s")
    logs.delete_log_group(logGroupName="/mine")
    assert logs.describe_log_groups()["logGroups"] == []


def test_events_of_another_age_are_passed_over(store: LogStore, logs: Any) -> None:
    logs.create_log_group(logGroupName="/mine")
    logs.create_log_stream(logGroupName="/mine", logStreamName="s")
    day = 24 * 3600 * 1000
    times = [NOW_MS - 20 * day, NOW_MS - day, NOW_MS + day]
    events = [{"timestamp": at, "message": "x"} for at in times]
    answer = logs.put_log_events(logGroupName="/mine", logStreamName="s", logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    kept = logs.get_log_events(logGroupName="/mine", logStreamName="s")["events"]
    assert [event["timestamp"] for event in kept] == [NOW_MS - day]


def test_errors_are_in_aws_words(store: LogStore, logs: Any) -> None:
    logs.create_log_group(logGroupName="/mine")
    missing = ("ResourceNotFoundException", "The specified log stream does not exist.")
    assert refused(logs.get_log_events, logGroupName="/mine", logStreamName="s") == missing
    event = {"timestamp": NOW_MS, "message": "x"}
    assert refused(logs.put_log_events, logGroupName="/mine", logStreamName="s", logEvents=[event]) == missing
    assert refused(logs.create_log_group, logGroupName="/mine") == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )
    logs.create_log_stream(logGroupName="/mine", logStreamName="s")
    assert (
        refused(logs.create_log_stream, logGroupName="/mine", logStreamName="s")[0] == "ResourceAlreadyExistsException"
    )
    backwards = [event, {"timestamp": NOW_MS - 1, "message": "x"}]
    assert refused(logs.put_log_events, logGroupName="/mine", logStreamName="s", logEvents=backwards) == (
        "InvalidParameterException",
        "Log events in a single PutLogEvents request must be in chronological order.",
    )
    by_time = {"logGroupName": "/mine", "orderBy": "LastEventTime", "logStreamNamePrefix": "s"}
    assert refused(logs.describe_log_streams, **by_time)[0] == "InvalidParameterException"
    code, text = refused(logs.filter_log_events, logGroupName="/mine", filterPattern="{ $.x = 1 }")
    assert code == "InvalidParameterException"
    assert text.startswith("JSON filter patterns are not offered here")
    newest_first = refused(logs.filter_log_events, logGroupName="/mine", startFromHead=False)
    assert newest_first[1].startswith("startFromHead=false is not offered here")
    token = {"logGroupName": "/mine", "logStreamName": "s", "nextToken": "nonsense"}
    assert refused(logs.get_log_events, **token) == ("InvalidParameterException", "The specified nextToken is invalid.")
    assert refused(logs.get_log_events, logStreamName="s")[0] == "InvalidParameterException"


def test_what_is_there_is_a_file_of_plain_lines(store: LogStore, logs: Any) -> None:
    store.append(GROUP, STREAM, [(1581317035000, "Saved checkpoint")])
    assert Path(store.path(GROUP, STREAM)).read_text() == "1581317035000 Saved checkpoint\n"
