"""Every benchmark by the name ``make bench ONLY=…`` takes."""

from collections.abc import Callable

from benchmarks import accuracy, compiled, front, im2rec, nasty, pipeline, s3, served, startup, training, transfer
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
    "training-resnet18": training.resnet18,
    "training-resnet20": training.resnet20,
    "job-vs-synthetic": training.job,
    "compiled-accuracy": accuracy.rows,
    "compiled-resnet18": compiled.resnet18,
    "compiled-resnet50": compiled.resnet50,
    "compiled-resnet152": compiled.resnet152,
    "compiled-bf16": compiled.bf16,
    "pipeline-full-vs-mxnet": pipeline.full_vs_mxnet,
    "pipeline-full-vs-dali": pipeline.full_vs_dali,
    "pipeline-full-vs-torch": pipeline.full_vs_torch,
    "pipeline-256-vs-mxnet": pipeline.small_vs_mxnet,
    "pipeline-256-vs-dali": pipeline.small_vs_dali,
    "im2rec-passthrough-vs-mxnet": im2rec.passthrough,
    "im2rec-resize-vs-mxnet": im2rec.resize,
}
