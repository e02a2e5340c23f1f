"""The part of a job that needs torch and the decoders: data, network, training, the trial of the stored model."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from darkroom.algorithm import class_names, gathering, lines, resuming, selftest, starting, variables
from darkroom.algorithm import recovery as recovering
from darkroom.algorithm.channels import Channels, open_channels
from darkroom.algorithm.checkpoints import Checkpoints
from darkroom.algorithm.course import Course
from darkroom.algorithm.data.labels import images_per_class
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hosts import ALONE, Hosts, of_each
from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.algorithm.learner import Learner, cpu_flags, device, half_precision
from darkroom.algorithm.metrics import Tally, positive_weights
from darkroom.algorithm.prepare import Data, prepare
from darkroom.algorithm.report import worst
from darkroom.algorithm.report import write as report
from darkroom.algorithm.report.facts import Facts
from darkroom.algorithm.report.history import History
from darkroom.algorithm.report.worst import Part
from darkroom.algorithm.seats import Seat
from darkroom.algorithm.starting import Start
from darkroom.algorithm.stopping import StopSignal
from darkroom.algorithm.train import Run, train
from darkroom.contract import exits
from darkroom.contract.cores import available
from darkroom.contract.layout import Layout
from darkroom.networks import artifact, catalogue, threads
from darkroom.networks.catalogue import Net

YES = {"1", "true"}
SPEEDOMETER = 20  # batches between progress lines; DARKROOM_SPEEDOMETER lowers it for short epochs


def run(
    values: Hyperparameters,
    layout: Layout,
    environ: Mapping[str, str],
    strict: bool,
    stop: StopSignal,
    log: logging.Logger,
    seat: Seat | None = None,
) -> int:
    """Exit code of a job whose hyperparameters are right. ``seat``: of a companion. Raises CustomerError."""
    start = starting.find(values, layout, environ, strict)
    with gathering.together(values, layout, environ, seat, stop, log) as hosts:
        return _run(values, start, layout, environ, strict, stop, log, hosts)


def _run(
    values: Hyperparameters,
    start: Start,
    layout: Layout,
    environ: Mapping[str, str],
    strict: bool,
    stop: StopSignal,
    log: logging.Logger,
    hosts: Hosts,
) -> int:
    cores = of_each(available(environ), hosts)
    seed, speedometer = (
        variables.number(environ, "DARKROOM_SEED", 0),
        variables.number(environ, "DARKROOM_SPEEDOMETER", SPEEDOMETER),
    )
    recovery = recovering.of(layout, environ, log, saves=hosts.rank == 0)
    earlier = resuming.find(recovery, hosts)
    channels = open_channels(layout, log, strict, values.num_classes or 0, bool(values.multi_label), hosts)
    if strict and channels.listed and values.resize is None:
        raise CustomerError("The hyperparameter resize is required for images with .lst files: set it, such as to 256.")
    names = _class_names(environ, channels, layout, values, log) or start.classes
    clamp = environ.get("DARKROOM_CLAMP_BATCH", "") in YES
    left_out = earlier and resuming.left_out(earlier, hosts)
    data = prepare(channels, values, cores, strict, clamp, log, left_out, hosts)
    values = data.values
    _check_batch(start, values, hosts)
    identity = hosts.everyone(recovering.job_of(data, names, seed, start.said, hosts))[0]
    if earlier is not None:
        recovering.check(identity, earlier.job, earlier.name)
    _announce(data, channels, start, hosts, log)
    weights = _positive_weights(data, hosts)
    learner = _learner(data, start, seed, cores, weights, hosts, stop, log)
    history = History(values.num_classes, None if weights is None else weights.numpy())
    save = partial(_save, layout.model, learner.network, names, data)
    course, checkpoints = Course(Tally(values.top_k)), Checkpoints(save if hosts.rank == 0 else None, log)
    counts = {channel: _counts(data, channel, hosts) for channel in ("train", "validation")}
    if earlier is not None:
        images = 0 if data.validation is None else len(data.validation)
        resuming.go_on(earlier, learner, course, history, hosts, images, sum(counts["validation"]))
        checkpoints.empty = not any(name.endswith(".params") for name in earlier.kept)
        recovery.take_up(earlier)
        log.info("Resuming from the checkpoint %s: epoch %d, batch %d.", earlier.name, earlier.epoch, earlier.batch)
    resuming.agree(learner, hosts)
    stop.check()
    stop.patient = True  # from here on there is something to save
    run = Run(cores, seed, max(1, speedometer), stop, log, history, recovery, identity, data.left_out, strict, hosts)
    train(data, learner, checkpoints, course, run)
    history.ended = "Stopped by request" if course.stopped else history.ended
    apart = "validation" in data.sharded and not course.parted  # and each host is to say what it has
    begin = sum(counts["validation"][: hosts.rank]) if "validation" in data.sharded else 0
    part = None if data.validation is None else Part(data.validation, begin)
    shown = worst.shown(history, bool(values.multi_label), part, log, hosts if apart else ALONE)
    hosts.part()
    if hosts.rank == 0:
        facts = _facts(environ, data, start, names, hosts.count, counts)
        report.write(layout.output_data, facts, history, shown, log)
    stop.patient = False
    if course.stopped:
        log.info("Stopped by request; the model stored so far is kept.")
        return exits.STOPPED
    stop.check()
    if hosts.rank == 0 and data.validation is not None and course.verdicts is not None:
        selftest.compare(layout.model, data.validation, course.verdicts, sum(counts["validation"]), cores, log)
    return exits.OK


def _check_batch(start: Start, values: Hyperparameters, hosts: Hosts) -> None:
    """Raises CustomerError where a process has one image of a batch, and the network makes one pixel of it: a single
    value a channel has no variance to normalise by."""
    if of_each(values.mini_batch_size, hosts) > 1:
        return
    network = catalogue.empty(start.architecture).to_empty(device="cpu")
    try:
        with torch.inference_mode():
            network.train()(torch.zeros(1, *values.shape))
    except ValueError as error:
        raise CustomerError(
            f"image_shape '{values.image_shape}' is so small that the network cannot normalise a batch of one image: "
            f"use a mini_batch_size (it is {values.mini_batch_size}) of at least "
            f"{gathering.FEWEST * hosts.processes // hosts.count}, or a larger image_shape."
        ) from error


def _learner(
    data: Data,
    start: Start,
    seed: int,
    cores: int,
    weights: torch.Tensor | None,
    hosts: Hosts,
    stop: StopSignal,
    log: logging.Logger,
) -> Learner:
    """The network, where and how it is computed."""
    values, where = data.values, device(hosts.rank)
    half = _half(values, where, log)
    network = start.network(torch.Generator().manual_seed(seed))
    torch.set_num_threads(threads.worthwhile(network, values.shape, of_each(values.mini_batch_size, hosts), cores))
    log.info("Setting number of threads: %d", torch.get_num_threads())
    torch.backends.cudnn.benchmark = True  # every batch has the same shape: the fastest convolutions are worth finding
    return Learner(network, values, where, half, weights, hosts, stop.interruptible)


def _save(
    folder: Path, network: Net, names: tuple[str, ...] | None, data: Data, number: int, keep_earlier: bool
) -> Path:
    """The model after ``number`` epochs, as a folder that can be served."""
    return artifact.save(
        folder,
        network,
        epoch=number,
        batch_size=data.values.mini_batch_size,
        classes=names,
        preprocessing=data.preprocess.to_dict(),
        multi_label=bool(data.values.multi_label),
        keep_earlier=keep_earlier,
    )


def _announce(data: Data, channels: Channels, start: Start, hosts: Hosts, log: logging.Logger) -> None:
    values = data.values
    if values.multi_label and channels.listed:
        log.info("label-format is multi-hot")
    log.info("use_pretrained_model: %d", values.use_pretrained_model)
    log.info("multi_label: %d", values.multi_label)
    if data.validation is None:
        more = ", and early_stopping has no effect" if values.early_stopping else ""
        log.warning("There is no validation channel: the model of the last epoch will be stored, not the best%s.", more)
    start.announce(log)
    if hosts.count > 1 and values.kv_store == "dist_async":
        log.warning("kv_store dist_async: here the hosts wait for each other at every update, as with dist_sync.")
    for text in lines.parameters(values, hosts.count):
        log.info("%s", text)


def _counts(data: Data, channel: str, hosts: Hosts) -> list[int]:
    """The images of each host where they have images of their own, or those that all have."""
    images = data.train if channel == "train" else data.validation
    own = 0 if images is None else len(images)
    return hosts.everyone(own) if channel in data.sharded else [own]


def _facts(
    environ: Mapping[str, str],
    data: Data,
    start: Start,
    names: tuple[str, ...] | None,
    hosts: int,
    counts: Mapping[str, list[int]],
) -> Facts:
    return Facts(
        job=environ.get("TRAINING_JOB_NAME", ""),
        network=start.architecture.title,
        start=start.said,
        train_images=sum(counts["train"]),
        validation_images=None if data.validation is None else sum(counts["validation"]),
        hosts=hosts,
        names=names,
        values=data.values,
    )


def _half(values: Hyperparameters, where: torch.device, log: logging.Logger) -> torch.dtype | None:
    if values.precision_dtype == "float32":
        return None
    half = half_precision(where.type, cpu_flags())
    if half is None:
        log.warning("precision_dtype float16: this CPU computes 16-bit numbers slower, so training runs in float32.")
    return half


def _positive_weights(data: Data, hosts: Hosts) -> torch.Tensor | None:
    values = data.values
    if not (values.multi_label and values.use_weighted_loss):
        return None
    own = images_per_class(data.train.classes, values.num_classes)
    told = hosts.everyone([len(data.train), *own.tolist()]) if "train" in data.sharded else [[len(data.train), *own]]
    images, *counts = np.sum(told, axis=0).tolist()
    return positive_weights(torch.tensor(counts), images)


def _class_names(
    environ: Mapping[str, str], channels: Channels, layout: Layout, values: Hyperparameters, log: logging.Logger
) -> tuple[str, ...] | None:
    folders = (channels.folder, layout.channel("train_lst"))
    names, fault = class_names.find(environ, folders, channels.train, values.num_classes)
    if fault:
        log.warning("%s", fault)
    return names
