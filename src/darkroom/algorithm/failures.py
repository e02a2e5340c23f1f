"""How a job says why it failed: whose fault it was, the log lines, the failure file, the exit code.

SageMaker's convention: the user's faults are logged as "Customer Error: …" and reach the caller as "ClientError: …";
ours are "Algorithm Error: …" and "AlgorithmError: …".
"""

import logging
import traceback
from dataclasses import dataclass
from pathlib import Path

from darkroom.contract import exits

MAX_REASON_CHARS = 1024  # of the failure file, SageMaker shows no more
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


class CustomerError(Exception):
    """The user can put it right: each message names the value and the remedy."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages


@dataclass(frozen=True)
class Failure:
    lines: tuple[str, ...]  # for the log, level ERROR
    reason: str  # for the failure file; empty: none is written
    exit_code: int  # negative: the signal to end by


class PeerError(Exception):
    """Another process of the job has ended or cannot be reached; this one cannot go on without it. ``failure``: why,
    where that is known."""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


def describe(error: BaseException) -> Failure:
    """What to log, what to write, and how to exit, for an error that ended the job."""
    if isinstance(error, CustomerError):
        return _customer(error.messages)
    if isinstance(error, PeerError) and error.failure is not None:
        return error.failure
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
        return _customer(
            (f"Out of memory. Use a smaller mini_batch_size, image_shape or num_layers. ({_last_line(error)})",)
        )
    if isinstance(error, PeerError):
        return ours(
            f"Another host of this job has ended or cannot be reached, and this one cannot go on alone ({error})"
        )
    return ours(f"{_last_line(error)} ({_place(error)})", "".join(traceback.format_exception(error)).rstrip())


def ours(reason: str, *more: str) -> Failure:
    """A fault that the user cannot put right; ``more`` lines for the log."""
    return Failure((f"Algorithm Error: {reason}", *more), f"AlgorithmError: {reason}", exits.ALGORITHM_ERROR)


def _customer(messages: tuple[str, ...]) -> Failure:
    lines = tuple(f"Customer Error: {message}" for message in messages)
    return Failure(lines, "ClientError: " + "; also: ".join(messages), exits.CLIENT_ERROR)


def report(failure: Failure, path: Path, log: logging.Logger) -> int:
    """Log it, leave it in the failure file, and return the exit code."""
    for line in failure.lines:
        log.error("%s", line)
    if failure.reason:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(failure.reason[:MAX_REASON_CHARS], encoding="utf-8")
    return failure.exit_code


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
