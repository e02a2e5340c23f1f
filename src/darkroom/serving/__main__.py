"""``python -m darkroom.serving serve``: the entry point of a serving container. Reads the world, loads, listens.

Exits 0 after SIGTERM, 2 where the model, a setting or the socket is at fault (one sentence in the log and in the
failure file says which), 1 for a fault of ours.
"""

import os
import sys
import time
import traceback
import warnings

import cv2
import uvloop

from darkroom.contract import cores, exits
from darkroom.contract.layout import Layout
from darkroom.serving.lines import log_line
from darkroom.serving.predictor import UnusableModel, load
from darkroom.serving.worker import print_line, serve

USAGE = "usage: python -m darkroom.serving serve"


def main(arguments: list[str]) -> int:
    print_line(f"Docker entrypoint called with argument(s): {' '.join(arguments)}")
    if arguments != ["serve"]:
        print_line(USAGE)
        return exits.CLIENT_ERROR
    layout = Layout.of()
    try:
        _serve(layout)
    except (UnusableModel, ValueError, OSError) as error:
        _fail(layout, f"Customer Error: {error}", f"ClientError: {error}")
        return exits.CLIENT_ERROR
    except Exception as error:
        _fail(layout, f"Algorithm Error: {traceback.format_exc()}", f"AlgorithmError: {error!r}")
        return exits.ALGORITHM_ERROR
    _say("INFO", "Stopped")
    return exits.OK


def _serve(layout: Layout) -> None:
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what photos have in their margins is nobody's concern here
    cv2.setNumThreads(1)  # several pictures are decoded at once already
    began = time.monotonic()
    predictor = load(layout.model, cores.available(os.environ))
    _say("INFO", f"Loaded {predictor.description} in {time.monotonic() - began:.2f} s")
    uvloop.run(serve(predictor, os.environ, print_line))


def _say(level: str, message: str) -> None:
    print_line(log_line(level, message, time.time()))


def _fail(layout: Layout, message: str, reason: str) -> None:
    _say("ERROR", message)
    try:
        layout.failure.parent.mkdir(parents=True, exist_ok=True)
        layout.failure.write_text(reason)
    except OSError as error:
        _say("ERROR", f"{layout.failure} could not be written: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
