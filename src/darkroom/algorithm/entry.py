"""One job, as a story: read the settings, look at the images, train, keep the best model, try it as the endpoint will.

The thin place that acts: environment, files, signals and exit codes meet here, and decisions are made elsewhere.
"""

import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from darkroom.algorithm import hyperparameters, lines
from darkroom.algorithm.failures import CustomerError, PeerError, describe, report
from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.algorithm.seats import Seat
from darkroom.algorithm.stopping import Stopped, StopSignal
from darkroom.contract import exits
from darkroom.contract.layout import Layout

# GNU OpenMP's threads wait for each other awake for some 10 ms, which on a busy machine keeps the very thread that they
# wait for from running. The launcher has them sleep at once; so does this, where nobody said how. Torch reads it when
# it is loaded.
WAITING, ASLEEP = "OMP_WAIT_POLICY", "PASSIVE"


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """The exit code of ``python -m darkroom.algorithm <arguments>``."""
    layout, log = Layout.of(environ), lines.start()
    stop = StopSignal().listen()
    try:
        if arguments != ["train"]:
            raise CustomerError(f"The only argument is 'train', not {' '.join(arguments) or 'nothing'!r}.")
        return run(layout, environ, stop, log)
    except Stopped:
        log.info("Stopped by request.")
        return exits.STOPPED
    except PeerError as error:  # hosts that are stopped together do not always wait for each other
        if stop.asked:
            log.info("Stopped by request.")
            return exits.STOPPED
        return report(describe(error), layout.failure, log)
    except Exception as error:  # the one place where every fault becomes a log line, a file and an exit code
        return report(describe(error), layout.failure, log)


def run(
    layout: Layout, environ: Mapping[str, str], stop: StopSignal, log: logging.Logger, seat: Seat | None = None
) -> int:
    """The exit code. ``seat``: of a companion."""
    strict = environ.get("DARKROOM_STRICT", "") in {"1", "true"}
    values = _configure(layout, strict, log)

    os.environ.setdefault(WAITING, ASLEEP)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what photos have in their margins is nobody's concern here
    # torch and the decoders take a second to import: not before the settings are known to be right
    from darkroom.algorithm import job  # noqa: PLC0415

    return job.run(values, layout, environ, strict, stop, log, seat)


def _configure(layout: Layout, strict: bool, log: logging.Logger) -> Hyperparameters:
    path = layout.config / "hyperparameters.json"
    given = _read(path)
    for text in lines.configuration(hyperparameters.__file__, hyperparameters.defaults(), str(path), given):
        log.info("%s", text)
    values = hyperparameters.parse(given, strict)
    for text in hyperparameters.notices(given):
        log.warning("%s", text)
    return values


def _read(path: Path) -> dict[str, str]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        given = {}
    if not isinstance(given, dict):
        raise CustomerError(f"{path} must hold a JSON object of hyperparameters, not a {type(given).__name__}.")
    return {str(name): str(value) for name, value in given.items()}
