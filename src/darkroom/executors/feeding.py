"""The process that feeds a task's named pipes: ``python -m darkroom.executors.feeding FOLDER VIEW BASE``.

Its launcher starts it, and it dies with that. It reads what ``pinning`` laid aside in the task's folder, and knows
neither store nor server. ``VIEW`` is /opt/ml as the job sees it, ``BASE`` the same folder from outside: where the job's
input is an overlay, only a pipe made in the view joins two processes; where it is read-only, only one made outside.

Each epoch's pipe has a thread that waits for a reader. When one comes, a new pipe takes the name, so that who opens it
again is given everything again, and the pipe of the next epoch is made. A fault is told to the launcher, and the pipe
is held open: the reader must never take it for the end of the data.
"""

import errno
import fcntl
import gzip
import json
import os
import select
import signal
import sys
import threading
import zlib
from array import array
from contextlib import suppress
from pathlib import Path

from darkroom.contract.layout import Layout
from darkroom.executors import kernel
from darkroom.executors.feeder import TROUBLE_FD
from darkroom.executors.pinning import FILES, PIPE, PIPES, PLAN, Row, order
from darkroom.formats.framing import framed

PIPE_BYTES = 2**20
CHUNK_BYTES = 2**20
STACK_BYTES = 2**18
KEPT = 1  # epochs before the one just opened whose pipes may be opened again


class Fault(Exception):
    """What is to be sent cannot be; the message names the object."""


class Plan:
    """The rows of a channel, read one at a time."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / FILES
        told = json.loads((folder / PIPE).read_text())
        self.wrapped, self.gzipped, self.seed = bool(told["wrapped"]), bool(told["gzipped"]), told["seed"]
        self.shard: tuple[int, int] = (told["shard"][0], told["shard"][1])
        self._path = folder / PLAN
        self._starts = array("Q")  # where each row begins
        with open(self._path, "rb") as file:
            while file.readline():
                self._starts.append(0)
            file.seek(0)
            for row in range(len(self._starts)):
                self._starts[row] = file.tell()
                file.readline()

    def send(self, epoch: int, pipe: int) -> None:
        """The whole of an epoch. Raises BrokenPipeError where the reader has gone, and Fault."""
        with open(self._path, "rb") as file:
            for row in order(len(self._starts), epoch, self.seed, self.shard):
                file.seek(self._starts[row])
                self._send_row(json.loads(file.readline()), pipe)

    def _send_row(self, row: Row, pipe: int) -> None:
        for part in row:
            if "text" in part:
                self._send_bytes(part["text"].encode(), pipe)
                continue
            try:
                self._send_file(self.files / part["file"], pipe)
            except BrokenPipeError:
                raise
            except (OSError, EOFError, zlib.error) as error:
                raise Fault(f"object {part['name']} cannot be read{' as gzip' * self.gzipped}: {error}") from error

    def _send_file(self, path: Path, pipe: int) -> None:
        if self.wrapped:
            with gzip.open(path) if self.gzipped else open(path, "rb") as file:
                self._send_bytes(file.read(), pipe)
        elif self.gzipped:
            with gzip.open(path) as file:
                while chunk := file.read(CHUNK_BYTES):
                    _write(pipe, chunk)
        else:
            with open(path, "rb") as file:
                offset = 0
                while sent := os.sendfile(pipe, file.fileno(), offset, CHUNK_BYTES):
                    offset += sent

    def _send_bytes(self, payload: bytes, pipe: int) -> None:
        for piece in framed(payload) if self.wrapped else (payload,):
            _write(pipe, piece)


class Channel:
    """The pipes of one channel."""

    def __init__(self, name: str, plan: Plan, views: tuple[Layout, Layout]) -> None:
        self._name, self._plan, self._views = name, plan, views
        self._lock = threading.Lock()
        self._newest, self._oldest = 0, 0

    def start(self) -> None:
        self._attend(0)

    def _attend(self, epoch: int) -> None:
        threading.Thread(target=self._feed, args=(epoch,), name=f"{self._name} {epoch}", daemon=True).start()

    def _feed(self, epoch: int) -> None:
        try:
            while True:
                pipe = os.open(self._path(epoch), os.O_WRONLY | os.O_CLOEXEC)  # waits for a reader
                if epoch < self._oldest:
                    os.close(pipe)
                    return
                self._opened(epoch)
                _enlarge(pipe)
                with suppress(BrokenPipeError):
                    self._plan.send(epoch, pipe)
                os.close(pipe)
        except FileNotFoundError:  # retired
            return
        except Exception as error:
            tell(f"channel {self._name!r}, epoch {epoch}: {error}")

    def _opened(self, epoch: int) -> None:
        with self._lock:
            if epoch >= self._oldest:
                self._make(epoch)
            if epoch == self._newest:
                self._newest += 1
                self._make(self._newest)
                self._attend(self._newest)
            while self._oldest < epoch - KEPT:
                self._oldest += 1
                self._retire(self._oldest - 1)

    def _path(self, epoch: int, view: int = 0) -> Path:
        return self._views[view].pipe(self._name, epoch)

    def _make(self, epoch: int) -> None:
        """A new pipe of that name; readers of an earlier one keep theirs."""
        try:
            _make_pipe(self._path(epoch))
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            _make_pipe(self._path(epoch, view=1))

    def _retire(self, epoch: int) -> None:
        """Remove a pipe, and let the thread go that waits there."""
        for view in (0, 1):
            with suppress(OSError):
                waker = os.open(self._path(epoch, view), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                os.unlink(self._path(epoch, view))
                os.close(waker)
                return


def tell(trouble: str) -> None:
    os.write(TROUBLE_FD, trouble.encode("utf-8", "replace") + b"\n")
    threading.Event().wait()  # with the pipe open, until the launcher has ended the job


def main(folder: str, view: str, base: str) -> None:
    kernel.die_with_parent(signal.SIGKILL)
    launcher = select.poll()
    launcher.register(TROUBLE_FD, 0)
    if launcher.poll(0):  # it died before the kernel knew
        return
    threading.stack_size(STACK_BYTES)
    for pinned in sorted(Path(folder, PIPES).iterdir()):
        Channel(pinned.name, Plan(pinned), (Layout(Path(view)), Layout(Path(base)))).start()
    while True:
        signal.pause()


def _make_pipe(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    os.mkfifo(fresh, 0o600)
    os.replace(fresh, path)


def _enlarge(pipe: int) -> None:
    with suppress(OSError):  # more than this user may have
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _write(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


if __name__ == "__main__":
    main(*sys.argv[1:])
