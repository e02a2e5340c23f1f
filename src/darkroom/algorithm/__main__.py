"""``python -m darkroom.algorithm train``: says hello before anything slow is imported, then trains.

The first line must reach the log within moments of the start: it is how people see that their job runs.
"""

import sys

if __name__ == "__main__":
    print("Docker entrypoint called with argument(s): " + " ".join(sys.argv[1:]), flush=True)
    from darkroom.algorithm.entry import main
    from darkroom.algorithm.leaving import leave

    leave(main(sys.argv[1:]))
