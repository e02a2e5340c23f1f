"""Why a job or a worker failed, in the words AWS uses and with the cause people look for.

FailureReason is read by people and by clients that look at its first word: ClientError (yours to correct),
AlgorithmError (the program failed), InternalServerError (the platform or its machine did).
"""

import re
import signal
from collections.abc import Sequence

from darkroom.contract import exits
from darkroom.executors.base import Observation, Phase

LIMIT_CHARS = 1024
CLASSES = re.compile(r"^(ClientError|AlgorithmError|InternalServerError|CapacityError)\b")
EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b(?::|$)|\bError:")
LINE_PREFIX = re.compile(r"^\[\d\d/\d\d/\d{4} [\d:]{8} \w+ \d+\] ")  # as the built-in algorithms write it
TAIL_LINES = 5


def of_job(seen: Observation, tail: Sequence[str]) -> str:
    """FailureReason of a task that ended without success; ``tail`` are its last log lines."""
    if seen.phase in (Phase.LOST, Phase.ABSENT):
        return (
            "InternalServerError: the process that ran the job is gone and left no exit record: "
            "the machine went down or the process was ended from outside. Please create the job again."
        )
    if seen.exit_code is None:
        return _cut(f"ClientError: Data download failed: {seen.failure or 'the inputs could not be staged'}")
    if seen.signal is not None:
        return _cut(f"InternalServerError: {_signal_words(seen.signal)}{_after(tail)}")
    if CLASSES.match(seen.failure):
        return _cut(seen.failure)
    kind = "ClientError" if seen.exit_code == exits.CLIENT_ERROR else "AlgorithmError"
    return _cut(f"{kind}: {seen.failure or cause(tail)}", f", exit code: {seen.exit_code}")


def on_host(reason: str, host: str) -> str:
    """The reason with the name of the host that failed, after its class."""
    kind, found, rest = reason.partition(": ")
    return _cut(f"{kind}: {host}: {rest}") if found else _cut(f"{host}: {reason}")


def of_worker(variant: str, seen: Observation, tail: Sequence[str]) -> str:
    """Why a serving worker never became ready."""
    if seen.phase is Phase.LOST:
        why = "its process is gone and left no exit record"
    elif seen.exit_code is None and seen.phase is Phase.ENDED:
        why = seen.failure or "its model could not be staged"
    elif seen.exit_code is not None:
        ended = _signal_words(-seen.exit_code) if seen.exit_code < 0 else f"it ended with exit code {seen.exit_code}"
        why = f"{ended}: {seen.failure or cause(tail)}"
    else:
        why = cause(tail) or "it wrote nothing to its log"
    return _cut(
        f"The primary container for production variant {variant} did not pass the ping health check. "
        f"Please check CloudWatch logs for this endpoint. {why}"
    )


def of_start(fault: str) -> str:
    return _cut(f"InternalServerError: it cannot be started: {fault}")


def of_upload(seen: str) -> str:
    return _cut(f"ClientError: Artifact upload failed: {seen}")


def cause(tail: Sequence[str]) -> str:
    """The line that says what went wrong: the last exception, else the last lines as they are."""
    lines = [LINE_PREFIX.sub("", line).rstrip() for line in tail if line.strip()]
    for place in range(len(lines) - 1, -1, -1):
        if EXCEPTION.search(lines[place]):
            return "\n".join([lines[place], *_where(lines, place)])
    return "\n".join(lines[-TAIL_LINES:])


def _where(lines: Sequence[str], place: int) -> list[str]:
    """The innermost frame of the traceback that ends at ``place``: file and line."""
    for line in reversed(lines[:place]):
        if line.lstrip().startswith('File "'):
            return [line.strip()]
        if line.startswith("Traceback "):
            break
    return []


def _signal_words(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely = " Most often that is the system taking back memory: use a smaller batch." if name == "SIGKILL" else ""
    return f"the process was ended by {name} (exit code: {128 + number}), which did not come from here.{likely}"


def _after(tail: Sequence[str]) -> str:
    text = cause(tail)
    return f" Its last lines:\n{text}" if text else ""


def _cut(text: str, end: str = "") -> str:
    """``text`` and ``end`` within the limit; what goes first is the middle of ``text``'s end."""
    return text[: LIMIT_CHARS - len(end)] + end
