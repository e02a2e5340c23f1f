"""Several processes over torch.distributed: gloo for what is said, and for the gradients gloo on processors, NCCL on
GPUs.

Hosts meet at MASTER_ADDR and MASTER_PORT, and who they are stands in resourceconfig.json; the processes of one host
meet where the first one listens. One that ends closes its connections, so that the others learn of it at once. Knows no
network and no images.
"""

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from darkroom.algorithm import seats
from darkroom.algorithm.averaging import Buckets, among_hosts
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE, Averaging, Hosts, Numbers
from darkroom.algorithm.seats import Seat

PATIENCE = timedelta(minutes=30)  # for one that lives and says nothing; one that died is noticed at once
LOOK_S, TELL_S = 0.05, 60.0  # how often to look who has come, and when to say who has not
TAKEN_S = 15.0  # for a port that another program is about to leave
LOOPBACK = ("127.0.0.1", "localhost", "::1")
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


def join(names: Sequence[str], name: str, environ: Mapping[str, str], gpus: int, log: logging.Logger) -> Hosts:
    """Meet the hosts ``names``, of which this one is ``name``. Raises CustomerError and PeerError."""
    if len(names) < 2:
        return ALONE
    if name not in names:
        raise CustomerError(f"resourceconfig.json names this host {name!r}, which is none of {', '.join(names)}.")
    address, port = environ.get("MASTER_ADDR", ""), environ.get("MASTER_PORT", "")
    if not address or not port.isdecimal():
        raise CustomerError(
            f"The {len(names)} hosts of this job do not know where to meet: set MASTER_ADDR and MASTER_PORT in their "
            "environments to the address of the first one and a free port."
        )
    rank = names.index(name)
    log.info("Host %s, number %d of %d, meets the others at %s:%s.", name, rank + 1, len(names), address, port)
    nccl = gpus > 0 and (address not in LOOPBACK or gpus >= len(names))
    with among_hosts():
        # left to itself the store listens to other machines, too
        place = _place(address, int(port)) if rank == 0 and address in LOOPBACK else None
        nccl = _meet(_store(address, int(port), rank, names, place, log), rank, names, nccl, log)
    return Together(rank, len(names), len(names), nccl)


def beside(
    seat: Seat,
    gpus: int,
    log: logging.Logger,
    place: socket.socket | None = None,
    look: Callable[[], None] = lambda: None,
) -> "Together":
    """Meet the processes of this host. ``place``: where the first one listens. ``look`` is called while waiting, and
    may raise. Raises PeerError."""
    os.environ.update(dict.fromkeys(INTERFACES, "lo"))  # nothing is said to the network, whatever it has
    names = [seats.name(rank, seat.processes) for rank in range(seat.processes)]
    with among_hosts():
        store = _store(LOOPBACK[0], seat.port, seat.rank, names, place, log)
        nccl = _meet(store, seat.rank, names, gpus >= seat.processes, log, look)
    return Together(seat.rank, seat.processes, 1, nccl)


def _meet(
    store: dist.TCPStore,
    rank: int,
    names: Sequence[str],
    nccl: bool,
    log: logging.Logger,
    look: Callable[[], None] = lambda: None,
) -> bool:
    """All are there, and can talk. ``nccl``: each has a GPU of its own, for over NCCL two cannot share one. Gives
    whether GPUs talk so."""
    _wait(store, rank, names, log, look)
    nccl = nccl and dist.is_nccl_available()
    backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=len(names), timeout=PATIENCE)
    return nccl


class Together:
    """This process among the others, of ``count`` hosts."""

    def __init__(self, rank: int, processes: int, count: int, nccl: bool) -> None:
        self.rank, self.processes, self.count = rank, processes, count
        self.parted: Callable[[], None] = lambda: None  # is called when nothing more is said
        self._nccl = nccl

    def everyone(self, value: Any) -> list[Any]:
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        with among_hosts():
            sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.processes)]
            dist.all_gather(sizes, torch.tensor([len(data)]))
            most = max(int(size) for size in sizes)
            parts = [torch.zeros(most, dtype=torch.uint8) for _ in sizes]
            dist.all_gather(parts, torch.nn.functional.pad(data, (0, most - len(data))))
        told = zip(parts, sizes, strict=True)
        return [json.loads(part[: int(size)].numpy().tobytes()) for part, size in told]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        told = torch.tensor(flags, dtype=torch.int32)
        with among_hosts():
            dist.all_reduce(told, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in told)

    def total(self, numbers: Numbers) -> Numbers:
        told = torch.from_numpy(np.array(numbers, dtype=np.float64))
        with among_hosts():
            dist.all_reduce(told)
        return told.numpy()

    def averaging(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Averaging:
        return Buckets(weights, others, self._nccl)

    def spread(self, tensors: Sequence[Tensor]) -> None:
        with among_hosts():
            for tensor in tensors:
                near = tensor.detach().cpu().contiguous()
                dist.broadcast(near, 0)
                tensor.copy_(near)

    def part(self) -> None:
        dist.destroy_process_group()
        self.parted()


def _store(
    address: str, port: int, rank: int, names: Sequence[str], place: socket.socket | None, log: logging.Logger
) -> dist.TCPStore:
    """Where all first write down that they are there; the first one has it, at ``place`` where it listens already."""
    first, listening = rank == 0, None if place is None else place.detach()
    tell = time.monotonic() + TELL_S
    while not first and not _listens(address, port):  # in small steps, so that a signal is heard
        tell = _said(names[:1], tell, log)
        time.sleep(LOOK_S)
    return dist.TCPStore(address, port, len(names), first, PATIENCE, wait_for_workers=False, master_listen_fd=listening)


def _place(address: str, port: int) -> socket.socket:
    """Listens there. Raises CustomerError where another program does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    end = time.monotonic() + TAKEN_S
    while True:
        try:
            return socket.create_server((address, port), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                reason = os.strerror(error.errno or 0)
                raise CustomerError(
                    f"The hosts of this job cannot meet at {address}:{port} ({reason}): set MASTER_PORT to a port that "
                    "no other program has."
                ) from error
        time.sleep(LOOK_S)


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False


def _wait(store: dist.TCPStore, rank: int, names: Sequence[str], log: logging.Logger, look: Callable[[], None]) -> None:
    """Until all are there."""
    store.set(f"here/{rank}", "1")
    tell = time.monotonic() + TELL_S
    while absent := [name for other, name in enumerate(names) if not store.check([f"here/{other}"])]:
        look()
        tell = _said(absent, tell, log)
        time.sleep(LOOK_S)


def _said(absent: Sequence[str], tell: float, log: logging.Logger) -> float:
    """Who is waited for, once it is time to tell; gives when the next time is."""
    if time.monotonic() < tell:
        return tell
    log.info("Waiting for %s.", ", ".join(absent))
    return tell + TELL_S
