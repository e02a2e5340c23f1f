from datetime import timedelta

from darkroom.control.resources import Event, Transition, transitions
from tests.control.values import NOW

LATER = NOW + timedelta(seconds=1)
LAST = NOW + timedelta(seconds=2)
STORY = [
    Event(NOW, "Starting", "a"),
    Event(LATER, "Starting", "b"),
    Event(LAST, "Training", "c"),
]


def test_within_a_status_the_message_changes_in_place() -> None:
    assert transitions(STORY[:2], ended=False) == [Transition("Starting", "b", NOW, None)]


def test_a_new_status_closes_the_one_before_and_the_end_closes_the_last() -> None:
    assert transitions(STORY, ended=False) == [
        Transition("Starting", "b", NOW, LAST),
        Transition("Training", "c", LAST, None),
    ]
    assert transitions(STORY, ended=True)[-1].ended == LAST
    assert transitions([], ended=True) == []
