"""``python -m darkroom.algorithm.companion RANK PROCESSES PORT LINE``: a further process of a host with several GPUs.

It trains as the job's own process does, and leaves files, the log and the failure to that one. LINE is the number of an
open socket to it: what ended this process goes there, a byte from there is a SIGTERM, and its end is the end of that
process, which this one never outlives.
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from darkroom.algorithm import entry, lines
from darkroom.algorithm.failures import PeerError, describe
from darkroom.algorithm.leaving import leave
from darkroom.algorithm.seats import Seat
from darkroom.algorithm.stopping import Stopped, StopSignal
from darkroom.contract import exits
from darkroom.contract.layout import Layout


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """0 where this process did its part, however the job ends."""
    rank, processes, port, descriptor = map(int, arguments)
    line = socket.socket(fileno=descriptor)
    line.set_inheritable(False)
    stop = StopSignal()
    threading.Thread(target=_hear, args=(line, stop), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the job's own process has it, too
    stop.listen()
    try:
        entry.run(Layout.of(environ), environ, stop, _log(), Seat(rank, processes, port))
    except Stopped:
        return exits.STOPPED
    except Exception as error:
        failure = describe(error)
        line.sendall(json.dumps(asdict(failure) | {"follows": isinstance(error, PeerError)}).encode())
        return failure.exit_code
    return exits.OK


def _hear(line: socket.socket, stop: StopSignal) -> None:
    try:
        while line.recv(1):
            if not stop.asked:  # else it was sent to all processes of the job
                os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os._exit(exits.ALGORITHM_ERROR)


def _log() -> logging.Logger:
    """Says only what this process alone knows, which modules say in their own names; the job's logger has what every
    process would say."""
    log = lines.start()
    for handler in log.handlers:
        handler.addFilter(lambda record: record.name != log.name)
    warnings.simplefilter("ignore")  # they are of the code, which is the same
    return log


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
