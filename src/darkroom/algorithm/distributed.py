"""Several hosts over torch.distributed: gloo for what is said, and for the gradients gloo on processors, NCCL on GPUs.

They meet at MASTER_ADDR and MASTER_PORT; who they are stands in resourceconfig.json. A host that ends closes its
connections, so that the others learn of it at once. Knows no network and no images.
"""

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from darkroom.algorithm.averaging import Buckets, among_hosts
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE, Averaging, Hosts, Numbers

PATIENCE = timedelta(minutes=30)  # for a host that lives and says nothing; one that died is noticed at once
LOOK_S, TELL_S = 0.05, 60.0  # how often to look who has come, and when to say who has not
TAKEN_S = 15.0  # for a port that another program is about to leave
LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    with among_hosts():
        store = _store(address, int(port), rank, names, log)
        _wait(store, rank, names, log)
        # two hosts of one machine cannot share a GPU over NCCL
        nccl = gpus > 0 and dist.is_nccl_available() and (address not in LOOPBACK or gpus >= len(names))
        backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=len(names), timeout=PATIENCE)
    return Together(rank, len(names), nccl)


class Together:
    """This host among the others."""

    def __init__(self, rank: int, count: int, nccl: bool) -> None:
        self.rank, self.count = rank, count
        self._nccl = nccl

    def everyone(self, value: Any) -> list[Any]:
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        with among_hosts():
            sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
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


def _store(address: str, port: int, rank: int, names: Sequence[str], log: logging.Logger) -> dist.TCPStore:
    """Where the hosts first write down that they are there; the first host's process has it."""
    first, place = rank == 0, None
    if first and address in LOOPBACK:  # left to itself the store listens to other machines, too
        place = _place(address, port).detach()
    tell = time.monotonic() + TELL_S
    while not first and not _listens(address, port):  # in small steps, so that a signal is heard
        tell = _said(names[:1], tell, log)
        time.sleep(LOOK_S)
    return dist.TCPStore(address, port, len(names), first, PATIENCE, wait_for_workers=False, master_listen_fd=place)


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


def _wait(store: dist.TCPStore, rank: int, names: Sequence[str], log: logging.Logger) -> None:
    """Until all hosts are there."""
    store.set(f"here/{rank}", "1")
    tell = time.monotonic() + TELL_S
    while absent := [name for other, name in enumerate(names) if not store.check([f"here/{other}"])]:
        tell = _said(absent, tell, log)
        time.sleep(LOOK_S)


def _said(absent: Sequence[str], tell: float, log: logging.Logger) -> float:
    """Who is waited for, once it is time to tell; gives when the next time is."""
    if time.monotonic() < tell:
        return tell
    log.info("Waiting for %s.", ", ".join(absent))
    return tell + TELL_S
