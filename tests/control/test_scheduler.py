import pytest

from darkroom.control.scheduler import admitted
from tests.control.values import job


@pytest.mark.parametrize(
    ("waiting", "running", "limit", "let_in"),
    [(3, 0, 2, 2), (3, 1, 2, 1), (3, 2, 2, 0), (3, 5, 2, 0), (1, 0, 2, 1), (0, 0, 2, 0), (2, 0, 0, 1)],
)
def test_the_oldest_are_let_in_while_there_is_room(waiting: int, running: int, limit: int, let_in: int) -> None:
    jobs = [job("pending", {"place": place}) for place in range(waiting)]
    assert admitted(jobs, running, limit) == jobs[:let_in]


@pytest.mark.parametrize(
    ("sizes", "running", "limit", "let_in"),
    [((2, 1), 0, 2, 1), ((2,), 1, 2, 0), ((1, 2, 1), 0, 3, 2), ((4, 1), 0, 2, 1), ((4,), 1, 2, 0), ((2, 1), 1, 2, 0)],
)
def test_a_gang_is_let_in_whole_and_nobody_overtakes_it(
    sizes: tuple[int, ...], running: int, limit: int, let_in: int
) -> None:
    jobs = [job("pending", {"size": size}) for size in sizes]
    assert admitted(jobs, running, limit, lambda waiting: waiting.observed["size"]) == jobs[:let_in]
