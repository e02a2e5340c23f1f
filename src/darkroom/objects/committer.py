"""One thread commits for everyone: changes that arrive together share one transaction, hence one fsync.

Knows SQLite and nothing of buckets and keys. Readers have connections of their own.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from darkroom.errors import Full

T = TypeVar("T")
MAX_BATCH = 256
BUSY_TIMEOUT_S = 30.0
SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA cache_size = -2048;
"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by hand. May be used from any thread, one at a time."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.executescript(SETTINGS)
    return connection


@dataclass
class Transaction:
    """What a change works on. It notes the blobs that got a name and those that lost theirs."""

    connection: sqlite3.Connection
    named: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


Change = Callable[[Transaction], T]


class Committer:
    """``run`` a change; when it returns, the change is on disk.

    ``before_commit`` gets the blobs that are about to have a name, ``after_commit`` those that have none any more.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        before_commit: Callable[[Iterable[str]], None],
        after_commit: Callable[[Iterable[str]], None],
    ) -> None:
        self._connection, self._before, self._after = connection, before_commit, after_commit
        self._queue: SimpleQueue[tuple[Change[Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="objects-committer", daemon=True)
        self._thread.start()

    def run(self, change: Change[T]) -> T:
        """The change's result. Raises what it raised; then nothing of it is kept."""
        outcome: Future[T] = Future()
        self._queue.put((change, outcome))
        return outcome.result()

    @property
    def waiting(self) -> int:
        """Changes that nobody has begun yet."""
        return self._queue.qsize()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                if (item := self._queue.get()) is None:
                    self._queue.put(None)
                    break
                batch.append(item)
            self._commit(batch)

    def _commit(self, batch: list[tuple[Change[Any], Future[Any]]]) -> None:
        transaction = Transaction(self._connection)
        results: list[tuple[Future[Any], Any]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for change, outcome in batch:
                try:
                    results.append((outcome, self._attempt(change, transaction)))
                except Exception as error:
                    if not self._connection.in_transaction:
                        raise
                    outcome.set_exception(_told(error))
            self._before(transaction.named)
            self._connection.execute("COMMIT")
        except Exception as error:  # the disk is full, or gone: nobody's change was kept
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            for _, outcome in batch:
                if not outcome.done():
                    outcome.set_exception(_told(error))
            return
        self._after(transaction.dropped)
        for outcome, result in results:
            outcome.set_result(result)

    def _attempt(self, change: Change[T], transaction: Transaction) -> T:
        """Run one change of a batch so that its failure leaves the others alone.

        SQLite ends the whole transaction by itself when a disk is full; then there is nothing to go back to.
        """
        named, dropped = len(transaction.named), len(transaction.dropped)
        self._connection.execute("SAVEPOINT change")
        try:
            result = change(transaction)
        except Exception:
            del transaction.named[named:], transaction.dropped[dropped:]
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO change")
                self._connection.execute("RELEASE change")
            raise
        self._connection.execute("RELEASE change")
        return result


def _told(error: Exception) -> Exception:
    return Full() if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL else error
