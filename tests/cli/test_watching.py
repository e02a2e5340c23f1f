from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.cli.console import duration, unknown
from darkroom.cli.job_log import Progress
from darkroom.cli.watching import LineView, LogReader, details

DONE = Progress(epochs=3, epochs_done=1, epochs_validated=1, validation_accuracy=0.5, images_per_s=1234.4)


def test_a_line_is_printed_for_each_stage_and_each_epoch_once(capsys: pytest.CaptureFixture[str]) -> None:
    with LineView() as view:
        view.update(Progress(), "Starting")
        view.update(Progress(epochs=3), "Training")
        view.update(DONE, "Training")
        view.update(replace(DONE, batches_done=2), "Training")
        view.update(replace(DONE, epochs_done=2), "Training")
        view.update(replace(DONE, epochs_done=2, epochs_validated=2, validation_accuracy=0.5), "Training")
    assert capsys.readouterr().err.splitlines() == [
        "Starting",
        "Training",
        "  epoch 1/3, accuracy 50.0%, 1,234 images/s",
        "  epoch 2/3, accuracy 50.0%, 1,234 images/s",
    ]


def test_accuracy_is_said_to_be_of_training_until_it_is_measured_on_other_photos() -> None:
    assert details(Progress(epochs=3, train_accuracy=0.25), 1) == ["epoch 1/3", "accuracy in training 25.0%"]
    assert details(Progress(), 0) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7_860, "2 h 11 min"), (-1, "0 s")],
)
def test_durations_have_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_near_names_are_offered_else_some_else_none() -> None:
    assert str(unknown("job", "frist", ["first", "other"])) == "no job named 'frist'; did you mean first?"
    assert "did you mean abc or def" in str(unknown("job", "zzz", ["abc", "def"]))
    assert str(unknown("job", "x", [])) == "no job named 'x'; there is none at all yet"


@pytest.mark.parametrize(
    ("hosts", "said"),
    [(("algo-1",), ["one"]), (("algo-1", "algo-2"), ["algo-1 | one", "algo-2 | one"])],
)
def test_lines_of_several_hosts_begin_with_their_host(hosts: tuple[str, ...], said: list[str]) -> None:
    def streams(**_: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": f"job/{host}-1700000000"} for host in hosts]}

    def events(nextToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
        return {"events": [] if nextToken else [{"message": "one"}], "nextForwardToken": "f/1"}

    logs = SimpleNamespace(describe_log_streams=streams, get_log_events=events)
    reader = LogReader(SimpleNamespace(logs=logs), "job", named=True)  # type: ignore[arg-type]
    assert list(reader.read()) == said
    assert list(reader.read()) == []
