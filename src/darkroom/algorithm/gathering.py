"""Who trains together: this process alone, the hosts of a job, or the processes of one host with several GPUs.

Decides how many processes a host is, and brings them together for as long as they train.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from darkroom.algorithm import distributed, variables
from darkroom.algorithm.channels import hosts_of
from darkroom.algorithm.companions import Companions
from darkroom.algorithm.failures import PeerError
from darkroom.algorithm.hosts import ALONE, Hosts
from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.algorithm.seats import Seat
from darkroom.algorithm.stopping import StopSignal
from darkroom.contract.layout import Layout

PROCESSES = "DARKROOM_PROCESSES"
FEWEST = 2  # images of a batch for each process: one alone cannot be normalised


@contextmanager
def together(
    values: Hyperparameters,
    layout: Layout,
    environ: Mapping[str, str],
    seat: Seat | None,
    stop: StopSignal,
    log: logging.Logger,
) -> Iterator[Hosts]:
    """``seat``: of this process, where it is a companion. Raises CustomerError and PeerError."""
    gpus, (names, name) = torch.cuda.device_count(), hosts_of(layout)
    if seat is not None:
        yield distributed.beside(seat, gpus, log)
    elif len(names) > 1:
        if variables.number(environ, PROCESSES, 1, least=1) > 1 or gpus > len(names):
            log.info("Each of the %d hosts is one process, which uses one GPU at most.", len(names))
        yield distributed.join(names, name, environ, gpus, log)
    elif (count := processes(values, environ, gpus, log)) > 1:
        log.info("Training with %d processes, each with a part of every batch (GPUs: %d).", count, gpus)
        with _companions(count, layout, environ, gpus, stop, log) as hosts:
            yield hosts
    else:
        yield ALONE


def processes(values: Hyperparameters, environ: Mapping[str, str], gpus: int, log: logging.Logger) -> int:
    """Of the only host of a job: one for each GPU, while each has images enough of a batch. Raises CustomerError."""
    wanted = variables.number(environ, PROCESSES, max(1, gpus), least=1)
    most = max(1, values.mini_batch_size // FEWEST)
    if wanted > most:
        said = "Training with %d process(es) rather than %d: of a mini_batch_size of %d each is to have %d images."
        log.info(said, most, wanted, values.mini_batch_size, FEWEST)
    return min(wanted, most)


@contextmanager
def _companions(
    count: int, layout: Layout, environ: Mapping[str, str], gpus: int, stop: StopSignal, log: logging.Logger
) -> Iterator[Hosts]:
    companions = Companions(count, layout.failure, stop, log)
    try:
        with stop.afterwards():
            place = companions.start(environ)
        stop.tell = companions.ask_to_stop
        hosts = distributed.beside(companions.seat, gpus, log, place, companions.look)
        hosts.parted = companions.let_go
        yield hosts
    except PeerError as error:
        raise PeerError(str(error), companions.why(error)) from error
    finally:
        companions.end()
