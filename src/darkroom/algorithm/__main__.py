"""``python -m darkroom.algorithm train``: says hello before anything slow is imported, then trains.

The first line must reach the log within moments of the start: it is how people see that their job runs.
"""

import logging
import os
import sys

if __name__ == "__main__":
    print("Docker entrypoint called with argument(s): " + " ".join(sys.argv[1:]), flush=True)
    from darkroom.algorithm.entry import main

    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. Taken down in order, torch can abort where a batch was broken off and threads of its still compute
    # or wait for another host: the exit code would be lost.
    os._exit(code)
