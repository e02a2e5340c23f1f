"""``python -m darkroom.serving serve``: the entry point of a serving container. Reads the world, loads, listens.

Exits 0 after SIGTERM, 2 where the model, a setting or the socket is at fault (one sentence in the log and in the
failure file says which), 1 for a fault of ours.
"""

import asyncio
import importlib
import os
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

from darkroom.contract import cores, exits
from darkroom.contract.layout import CACHE, Layout
from darkroom.runtimes.artifact import is_compiled
from darkroom.serving import memory
from darkroom.serving.lines import log_line, print_line
from darkroom.serving.predictor import Predictor, UnusableModel, load

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
    compiled = is_compiled(layout.model)
    if compiled:
        memory.be_frugal()
    began = time.monotonic()
    predictor = _load_while_importing(layout.model)
    _say("INFO", f"Loaded {predictor.description} in {time.monotonic() - began:.2f} s")
    import cv2  # noqa: PLC0415 - all three are there by now
    import uvloop  # noqa: PLC0415

    from darkroom.serving.worker import serve  # noqa: PLC0415

    cv2.setNumThreads(1)  # several pictures are decoded at once already
    if compiled:
        memory.give_back()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(predictor, os.environ, print_line))


def _load_while_importing(model_dir: Path) -> Predictor:
    """The engine sets itself up in C++ meanwhile. What cannot be imported will say so where it is asked for."""
    importing = threading.Thread(target=importlib.import_module, args=("darkroom.serving.worker",), daemon=True)
    importing.start()
    cache = os.environ.get(CACHE)
    predictor = load(model_dir, cores.available(os.environ), Path(cache) if cache else None)
    importing.join()
    return predictor


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
