"""Where parts are placed."""

from darkroom.objects.slots import Slots

MIB = 2**20


def begun() -> Slots:
    slots = Slots()
    slots.begin("u", "1-1")
    return slots


def test_the_first_whole_size_sets_the_width() -> None:
    slots = begun()
    assert slots.claim("u", 3, 8 * MIB) == ("1-1", 16 * MIB)
    assert slots.claim("u", 1, 8 * MIB) == ("1-1", 0)
    assert slots.claim("u", 4, 5) == ("1-1", 24 * MIB)


def test_a_last_part_that_comes_first_does_not_set_it() -> None:
    slots = begun()
    assert slots.claim("u", 4, 1234) is None
    assert slots.claim("u", 1, 8 * MIB) == ("1-1", 0)


def test_what_does_not_fit_gets_a_file_of_its_own() -> None:
    slots = begun()
    slots.claim("u", 1, 8 * MIB)
    assert slots.claim("u", 2, 9 * MIB) is None
    assert slots.claim("u", 2, None) is None
    assert slots.claim("u", 2, 0) is None
    assert slots.claim("other", 2, 8 * MIB) is None


def test_a_slot_is_given_once_even_if_its_writer_gave_up() -> None:
    slots = begun()
    assert slots.claim("u", 1, 8 * MIB)
    slots.release("u")
    assert slots.claim("u", 1, 8 * MIB) is None


def test_offsets_stay_within_what_a_file_may_hold() -> None:
    slots = begun()
    assert slots.claim("u", 10_000, 5 * 2**30) is None


def test_the_end_tells_whether_anybody_writes() -> None:
    slots = begun()
    slots.claim("u", 1, MIB)
    assert slots.end("u") is False
    slots.release("u")
    slots = begun()
    slots.claim("u", 1, MIB)
    slots.release("u")
    assert slots.end("u") is True
    assert slots.claim("u", 2, MIB) is None
