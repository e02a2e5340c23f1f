"""What the S3 handlers work on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import ParamSpec, TypeVar

from darkroom.objects.base import ObjectStore

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 32  # they wait for the disk most of the time


def threads() -> Executor:
    return ThreadPoolExecutor(THREADS, "s3")


@dataclass(frozen=True)
class S3Part:
    """``account`` owns every bucket; ``region`` is where buckets are that name no other."""

    store: ObjectStore
    account: str = "000000000000"
    region: str = "us-east-1"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    executor: Executor = field(default_factory=threads)

    @property
    def owner(self) -> dict[str, str]:
        """The canonical user of the account: 64 hex digits, as S3 writes it."""
        return {"ID": sha256(self.account.encode()).hexdigest(), "DisplayName": "darkroom"}

    async def in_thread(self, blocking: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.executor, partial(blocking, *args, **kwargs))
