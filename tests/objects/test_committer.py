"""One commit for many, and no one's failure is another's."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Full
from darkroom.objects.committer import Committer, Transaction, connect
from tests.objects.polling import wait_until


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "t.sqlite"
    connection = connect(path)
    connection.execute("CREATE TABLE t (value INTEGER PRIMARY KEY)")
    connection.close()
    return path


@pytest.fixture
def commits() -> list[list[str]]:
    """The blobs named by each commit."""
    return []


@pytest.fixture
def committer(database: Path, commits: list[list[str]]) -> Iterator[Committer]:
    made = Committer(connect(database), lambda named: commits.append(list(named)), lambda dropped: None)
    yield made
    made.close()


def insert(value: int):
    def change(transaction: Transaction) -> int:
        transaction.connection.execute("INSERT INTO t VALUES (?)", (value,))
        transaction.named.append(f"blob {value}")
        return value

    return change


def values(database: Path) -> list[int]:
    connection = sqlite3.connect(database)
    found = [row[0] for row in connection.execute("SELECT value FROM t ORDER BY value")]
    connection.close()
    return found


def test_a_change_is_there_when_run_returns(committer: Committer, database: Path) -> None:
    assert committer.run(insert(7)) == 7
    assert values(database) == [7]


def test_changes_that_wait_together_are_committed_together(
    committer: Committer, database: Path, commits: list[list[str]]
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(transaction: Transaction) -> None:
        entered.set()
        go_on.wait(30)

    first = threading.Thread(target=committer.run, args=(slow,))
    first.start()
    entered.wait(30)
    others = [threading.Thread(target=committer.run, args=(insert(number),)) for number in range(10)]
    for thread in others:
        thread.start()
    wait_until(lambda: committer.waiting == 10)
    go_on.set()
    for thread in [first, *others]:
        thread.join()
    assert values(database) == list(range(10))
    assert [len(named) for named in commits] == [0, 10]


def test_a_failing_change_leaves_the_others_alone(committer: Committer, database: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()
    caught: list[Exception] = []

    def slow(transaction: Transaction) -> None:
        entered.set()
        go_on.wait(30)

    def half_done(transaction: Transaction) -> None:
        transaction.connection.execute("INSERT INTO t VALUES (99)")
        raise ValueError("no")

    def run_failing() -> None:
        try:
            committer.run(half_done)
        except ValueError as error:
            caught.append(error)

    threads = [threading.Thread(target=committer.run, args=(slow,))]
    threads[0].start()
    entered.wait(30)
    threads += [threading.Thread(target=run_failing), threading.Thread(target=committer.run, args=(insert(1),))]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: committer.waiting == 2)
    go_on.set()
    for thread in threads:
        thread.join()
    assert values(database) == [1]
    assert [str(error) for error in caught] == ["no"]


def test_where_the_commit_fails_everybody_is_told(database: Path) -> None:
    def no_disk(named: object) -> None:
        raise OSError("No space left on device")

    committer = Committer(connect(database), no_disk, lambda dropped: None)
    with pytest.raises(OSError, match="No space left"):
        committer.run(insert(1))
    assert values(database) == []
    committer.close()


def test_a_transaction_that_sqlite_ended_keeps_nothing(committer: Committer, database: Path) -> None:
    """As SQLite does by itself when the disk is full."""

    def ended(transaction: Transaction) -> None:
        transaction.connection.execute("INSERT INTO t VALUES (5)")
        transaction.connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError):
        committer.run(ended)
    assert committer.run(insert(6)) == 6
    assert values(database) == [6]


def test_a_full_disk_is_said_so_and_forgotten_when_there_is_room(committer: Committer) -> None:
    def limit(pages: int) -> None:
        committer.run(lambda t: t.connection.execute(f"PRAGMA max_page_count = {pages}"))

    def fill(transaction: Transaction) -> None:
        transaction.connection.execute("CREATE TABLE IF NOT EXISTS b (value BLOB)")
        transaction.connection.execute("INSERT INTO b VALUES (zeroblob(100000))")

    limit(1)  # what is there already stays
    with pytest.raises(Full, match="no space left"):
        committer.run(fill)
    limit(10_000)
    committer.run(fill)
