"""A server process that kills itself at one write of resources and their events, counted from 1.

It dies by SIGKILL, just before or just after that commit. Otherwise it is the real platform with its wire.
"""

import itertools
import logging
import os
import signal
import threading
from datetime import datetime
from pathlib import Path

import uvicorn

from darkroom.control.resources import Change, Draft, Resource
from darkroom.control.store.queries import Store
from darkroom.wire.listener import SERVER
from tests.control.platform import Platform

GIVEN = "given/model.tar.gz"  # the key of the home's own model.tar.gz


class DyingStore(Store):
    def __init__(self, target: Path | str, now: datetime, number: int, moment: str) -> None:
        super().__init__(target, now)
        self.number, self.moment = number, moment
        self.numbers = itertools.count(1)
        self.one_at_a_time = threading.Lock()

    def create(self, draft: Draft, now: datetime) -> Resource:
        with self.one_at_a_time:
            number = next(self.numbers)
            self.die(number, "before")
            created = super().create(draft, now)
            self.die(number, "after")
            return created

    def apply(self, resource: Resource, change: Change, now: datetime) -> Resource | None:
        with self.one_at_a_time:
            number = next(self.numbers)
            self.die(number, "before")
            applied = super().apply(resource, change, now)
            self.die(number, "after")
            return applied

    def die(self, number: int, moment: str) -> None:
        if (number, moment) == (self.number, self.moment):
            os.kill(os.getpid(), signal.SIGKILL)


def run(home: Path, port: int, number: int, moment: str) -> None:
    """Serve until SIGTERM, or until the write that is this process's last."""
    log = os.open(home / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level="INFO")

    def dying(target: Path | str, now: datetime) -> DyingStore:
        return DyingStore(target, now, number, moment)

    platform = Platform(home, dying, max_training_jobs=1)
    platform.put("train/a.jpg")
    if (given := home / "model.tar.gz").exists():
        platform.put(GIVEN, given.read_bytes())
    uvicorn.Server(uvicorn.Config(platform.front(), host="127.0.0.1", port=port, **SERVER)).run()
    platform.close()
