"""One small process per task: runs the command, keeps its output and its exit, and outlives the server.

``python -m darkroom.executors.launcher FOLDER`` reads launch.json there (see ``records``) and then

1. gives the job its own /opt/ml (``isolation``), 2. starts the command in its own session, to die with this process,
3. writes each line of output to the log stream with its time, 4. on SIGTERM ends the command: SIGTERM to its group, and
SIGKILL after the grace of stop.json, 5. when the command has ended kills what it left, and writes the exit record,
6. becomes ``packing`` where the task asks for archives.

Knows nothing of the server, which may be gone. Imports almost nothing: one of these lives beside every job.
"""

import math
import os
import select
import signal
import stat
import sys
import time
from contextlib import suppress
from typing import Any

from darkroom.contract import exits
from darkroom.contract.logs import Writer
from darkroom.executors import feeder, isolation, kernel, records
from darkroom.executors.lines import Lines

DEFAULT_GRACE_S = 30.0  # SIGTERM that did not come from the server: the machine is shutting down
DRAIN_S = 5.0  # for output after everything of the job was killed
READ_BYTES = 256 * 1024
CANNOT_RUN = 127
OOM_SCORE = 500  # of 1000
HANDLED = (signal.SIGTERM, signal.SIGCHLD)
IGNORED = (signal.SIGHUP, signal.SIGINT)  # and SIGPIPE, by Python


class Log:
    """The job's log stream. A full disk must not end the job: lines are counted then, and the count comes later."""

    def __init__(self, path: str) -> None:
        self._writer = Writer(path)
        self._lost = 0

    def write(self, lines: list[str]) -> None:
        if lines:
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        now_ms = time.time_ns() // 10**6
        noted = [f"darkroom: {self._lost} lines of output were lost: the disk was full"] if self._lost else []
        try:
            self._writer.write((now_ms, line) for line in noted + lines)
            self._lost = 0
        except OSError:
            self._lost += len(lines)

    def sync(self) -> None:
        """All that was written is on disk; and how much could not be, if that can."""
        if self._lost:
            self._write([])
        with suppress(OSError):  # the exit record must follow whatever the disk says
            self._writer.sync()


class Job:
    """The running command and everything it starts."""

    def __init__(self, spec: dict[str, Any], isolated: str, output: int) -> None:
        self.status: int | None = None  # wait status, once it has ended
        launcher = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # one that comes now must reach the command, not our handler
        self.pid = os.fork()
        if self.pid == 0:
            _become_command(spec, isolated, output, launcher)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def reap(self) -> None:
        """Collect what has ended. When the command has, kill all it left behind before its process id is free again."""
        while self.status is None:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            if ended.si_pid == self.pid:
                self.signal(signal.SIGKILL)
                self.status = os.waitpid(self.pid, 0)[1]
                _kill_orphans()
            else:
                os.waitpid(ended.si_pid, 0)

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # not in its session yet, or all gone
            if self.status is None:
                os.kill(self.pid, number)


def main(folder: str) -> None:
    os.closerange(records.LOCK_FD + 1, os.sysconf("SC_OPEN_MAX"))  # what a library of the server left inheritable
    os.set_inheritable(records.LOCK_FD, False)
    wake = _listen_to_signals()
    spec = records.read(folder, records.LAUNCH)
    assert spec is not None, f"{folder} has no {records.LAUNCH}"
    kernel.adopt_orphans()
    log = Log(spec["log"])
    exit_code, failure = None, "stopped before it started"
    try:
        isolated = isolation.isolate(spec["isolation"], spec["base"], os.path.join(folder, "scratch"))
    except isolation.Refused as refused:
        log.write([f"darkroom: {refused}"])
        isolated, failure = isolation.FOLDER, str(refused)
    else:
        _record(folder, records.LAUNCHED, {"pid": os.getpid(), "at_ms": _now_ms(), "isolation": isolated}, spec)
        if not os.path.exists(os.path.join(folder, records.STOP)):
            exit_code, failure = run(folder, spec, isolated, wake, log)
    log.sync()
    records.sync_folder(os.path.dirname(spec["log"]))
    _record(folder, records.EXITED, {"exit_code": exit_code, "failure": failure, "at_ms": _now_ms()}, spec)
    if spec["packs"] and exit_code is not None:
        os.set_inheritable(records.LOCK_FD, True)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # stopping again must not end the packing
        os.execv(sys.executable, [sys.executable, "-P", "-m", "darkroom.executors.packing", folder])


def run(folder: str, spec: dict[str, Any], isolated: str, wake: int, log: Log) -> tuple[int, str]:
    """Run the command to its end: its exit code, negative for the signal that ended it, and why it failed."""
    feeding = _start_feeder(folder, spec, isolated) if spec["pipes"] else None
    trouble: str | None = None
    output, job_output = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(output, False)
    job = Job(spec, isolated, job_output)
    os.close(job_output)
    lines, poll = Lines(), select.poll()
    for heard in (output, wake, *(() if feeding is None else (feeding,))):
        poll.register(heard, select.POLLIN)
    kill_at: float | None = None
    while True:
        ready = dict(poll.poll(_wait_ms(time.monotonic(), lines.due, kill_at)))
        now = time.monotonic()
        if output in ready and not _copy(output, lines, log):
            poll.unregister(output)
        log.write(lines.tick(now))
        if feeding in ready and feeding is not None:  # before the end is collected: that ends the feeder, too
            trouble = feeder.heard(feeding)
            poll.unregister(feeding)
            job.signal(signal.SIGKILL)
        if wake in ready:
            if signal.SIGTERM in os.read(wake, 4096):
                kill_at = _end(job, folder, now, kill_at)
            job.reap()
        if kill_at is not None and now >= kill_at:
            job.signal(signal.SIGKILL)
            kill_at = math.inf
        if job.status is not None:
            break
    _drain(output, lines, log)
    if trouble is not None:
        return _in_trouble(trouble, log)
    return os.waitstatus_to_exitcode(job.status), _failure(spec["base"])


def _start_feeder(folder: str, spec: dict[str, Any], isolated: str) -> int:
    view = isolation.OPT_ML if isolated == isolation.NAMESPACE else spec["base"]
    return feeder.start(folder, view, spec["base"])


def _in_trouble(trouble: str, log: Log) -> tuple[int, str]:
    """Exit code and failure of a job that was ended because its pipes could not be fed."""
    if trouble:
        log.write([f"darkroom: {trouble}"])
        return exits.CLIENT_ERROR, trouble[: records.FAILURE_CHARS]
    log.write(["darkroom: the process that feeds the job's pipes was killed, so the job was ended"])
    return -signal.SIGKILL, ""


def _become_command(spec: dict[str, Any], isolated: str, output: int, launcher: int) -> None:
    """In the forked child: turn into the command, or say in the failure file why that cannot be. Never returns."""
    try:
        os.setsid()
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != launcher:  # it died before the kernel knew
            os._exit(CANNOT_RUN)
        signal.set_wakeup_fd(-1)
        for number in (*HANDLED, *IGNORED, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _offer_to_the_oom_killer()
        os.chdir(spec[isolated]["cwd"])
        if isolated == isolation.FOLDER and os.geteuid() == 0:
            kernel.obey_file_modes()  # else root could write into stored objects through linked input
        os.execvpe(spec["command"][0], spec["command"], spec[isolated]["environ"])
    except OSError as error:
        text = f"cannot run {spec['command'][0]!r}: {error.strerror or error}"
        os.write(2, f"darkroom: {text}\n".encode())
        with open(os.path.join(spec["base"], "output", "failure"), "w") as file:
            file.write(text)
    finally:
        os._exit(CANNOT_RUN)


def _offer_to_the_oom_killer() -> None:
    """When memory runs out, the job is to go, not its launcher or the server."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(OOM_SCORE))


def _listen_to_signals() -> int:
    """A descriptor that becomes readable when SIGTERM or SIGCHLD comes, with the signals' numbers to read."""
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in HANDLED:
        signal.signal(number, lambda *_: None)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    return wake


def _end(job: Job, folder: str, now: float, kill_at: float | None) -> float:
    """SIGTERM to the job, once: it may be saving its work. When to kill it: asked again, the shorter grace counts."""
    stop = records.read(folder, records.STOP)
    asked = now + (DEFAULT_GRACE_S if stop is None else float(stop["grace_s"]))
    if kill_at is not None:
        return min(asked, kill_at)
    job.signal(signal.SIGTERM)
    return asked


def _copy(output: int, lines: Lines, log: Log) -> bool:
    """Move what there is from the pipe to the log; False at its end."""
    try:
        data = os.read(output, READ_BYTES)
    except BlockingIOError:
        return True
    log.write(lines.feed(data, time.monotonic()))
    return bool(data)


def _drain(output: int, lines: Lines, log: Log) -> None:
    """What is still in the pipe. Its writers are dead, so the end comes at once, but for one the kernel cannot kill."""
    poll = select.poll()
    poll.register(output, select.POLLIN)
    while poll.poll(DRAIN_S * 1000) and _copy(output, lines, log):
        pass
    log.write(lines.close())


def _kill_orphans() -> None:
    """Kill every descendant, also those that left the group: orphans become our children, generation by generation."""
    while children := _children():
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a kernel built without it: only the group dies
        return []


def _wait_ms(now: float, *times: float | None) -> float | None:
    wait_s = min((at - now for at in times if at is not None), default=math.inf)
    return None if wait_s == math.inf else max(0.0, wait_s) * 1000 + 1


def _failure(base: str) -> str:
    """The failure file as the job left it; what is no plain file (a pipe nobody writes to, a device) says nothing."""
    try:
        with open(os.path.join(base, "output", "failure"), "rb", opener=_unwaiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            return file.read(4 * records.FAILURE_CHARS).decode("utf-8", "replace")[: records.FAILURE_CHARS]
    except OSError:
        return ""


def _unwaiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _record(folder: str, name: str, record: records.Record, spec: dict[str, Any]) -> None:
    records.write_in_the_end(folder, name, record)
    records.announce(spec["changes"], os.path.basename(folder))


def _now_ms() -> int:
    return time.time_ns() // 10**6


if __name__ == "__main__":
    main(sys.argv[1])
