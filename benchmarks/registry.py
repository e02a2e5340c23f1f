"""Every benchmark by the name ``make bench ONLY=…`` takes."""

from collections.abc import Callable

from benchmarks import compiled, front, nasty, s3, served, startup, transfer
from benchmarks.rows import Row

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "startup": startup.server,
    "job-start": startup.job,
    "s3-large": s3.large,
    "s3-small": s3.small,
    "invocations": front.invocations,
    "request": served.request,
    "memory": served.memory,
    "coldstart": served.coldstart,
    "nasty": nasty.rows,
    "transfer-mobilenet": transfer.mobilenet,
    "transfer-resnet18": transfer.resnet18,
    "compiled-resnet18": compiled.resnet18,
    "compiled-resnet50": compiled.resnet50,
    "compiled-resnet152": compiled.resnet152,
    "compiled-bf16": compiled.bf16,
}
