"""The end of a process of the algorithm: at once, with its exit code or by a signal."""

import logging
import os
import signal
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End with what ``entry.main`` gave. All is written by now: taken down in order, torch can abort where a batch was
    broken off and threads of its still compute or wait for another process, and the exit code would be lost."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    if code < 0:  # as a companion was ended, so that who looks at the job sees what it would of one process
        deadly = signal.getsignal(-code) is signal.SIG_DFL
        os.kill(os.getpid(), -code if deadly else signal.SIGKILL)
    os._exit(code)
