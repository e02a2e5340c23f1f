"""What a job's network starts from: the model of an earlier job, pretrained weights, or random numbers.

Found, read and held against the hyperparameters before a single image is looked at.
"""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hyperparameters import Hyperparameters
from darkroom.contract.layout import Layout
from darkroom.formats import archives
from darkroom.networks import artifact, catalogue, pretrained, registry, weights_folder
from darkroom.networks.architecture import NETWORKS, PREACT_RESNET, RESNET, Architecture, ArchitectureError
from darkroom.networks.artifact import Artifact
from darkroom.networks.catalogue import Net
from darkroom.networks.planned import IMAGENET_MEAN, IMAGENET_STD
from darkroom.networks.pretrained import Weights, WeightsError
from darkroom.networks.weights_folder import Held

CHANNEL = "model"
PRETRAINED_SHAPE = (3, 224, 224)  # the only one that SageMaker's guide allows
MOST_NAMED = 5


@dataclass(frozen=True)
class Start:
    """``earlier``: go on from this model. ``weights``: pretrained ones. Neither: random numbers."""

    architecture: Architecture
    earlier: Artifact | None = None
    weights: Weights | None = None
    held: Held | None = None  # where the weights come from

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names that the earlier model brings."""
        return self.earlier.classes if self.earlier else None

    @property
    def said(self) -> str:
        """In words."""
        if self.earlier is not None:
            return f"the model of an earlier job, after {self.earlier.epoch} epoch(s)"
        if self.weights is not None and self.held is not None:
            return f"pretrained weights, {self.held.name}; the last layer from random numbers"
        return "random numbers"

    def network(self, generator: torch.Generator) -> Net:
        """On the CPU; what starts anew is drawn from ``generator``."""
        if self.earlier is not None:
            return self.earlier.net
        network = catalogue.build(self.architecture, generator)
        if self.weights is not None and self.held is not None:
            record = self.held.record
            pretrained.fill(network, self.weights, record.mean or IMAGENET_MEAN, record.std or IMAGENET_STD)
        return network

    def announce(self, log: logging.Logger) -> None:
        if self.earlier is not None:
            log.info("Using the model from the %s channel for initializing weights (incremental training).", CHANNEL)
            log.info("It is a %s after %d epoch(s).", self.architecture.title, self.earlier.epoch)
        elif self.weights is not None and self.held is not None:
            log.info("Using pretrained model for initializing weights and transfer learning.")
            log.info("Weights: %s (%s); the last layer starts anew.", self.held.name, self.architecture.title)
            if missing := self.weights.missing:
                shown = ", ".join(missing[:MOST_NAMED]) + (", …" if len(missing) > MOST_NAMED else "")
                log.warning("%s lacks %d tensors, which start anew: %s", self.held.path.name, len(missing), shown)
        else:
            log.info("Performing random weight initialization")


def find(values: Hyperparameters, layout: Layout, environ: Mapping[str, str], strict: bool = False) -> Start:
    """Where the job begins. Raises CustomerError for what is missing or does not fit."""
    try:
        if layout.channel(CHANNEL).is_dir():
            return _earlier(values, layout.channel(CHANNEL))
        if values.use_pretrained_model:
            return _pretrained(values, weights_folder.folder_of(environ), strict)
        return Start(_architecture(values, values.network or PREACT_RESNET))
    except ArchitectureError as error:
        raise CustomerError(f"{error}.") from error


def _architecture(values: Hyperparameters, network: str) -> Architecture:
    return Architecture.of(values.num_layers, values.num_classes, values.shape, network)


def _pretrained(values: Hyperparameters, folder: Path, strict: bool) -> Start:
    if strict and values.shape != PRETRAINED_SHAPE:
        raise CustomerError(f"use_pretrained_model 1 takes image_shape '3,224,224', not '{values.image_shape}'.")
    unusable, others = list[str](), list[tuple[str, int]]()
    wanted = (PREACT_RESNET, RESNET) if values.network is None else (values.network,)
    found: list[tuple[Held, Weights]] = []
    for held in weights_folder.held(folder):
        record = held.record
        if record.network and not _wanted(record.network, record.num_layers, wanted, values):
            others.append((record.network, record.num_layers))  # large files are not read in vain
            continue
        try:
            weights = pretrained.load(held.path)
        except (WeightsError, OSError) as error:
            unusable.append(str(error))
            continue
        given = weights.architecture
        if not _wanted(given.network, given.num_layers, wanted, values):
            others.append((given.network, given.num_layers))
        elif given.image_shape[0] not in (3, values.shape[0]):
            unusable.append(f"{held.path.name} is for images of {given.image_shape[0]} channel(s)")
        else:
            found.append((held, weights))
    if not found:
        raise CustomerError(_absent(values, folder, others, unusable))
    # the documented network before another, whole weights before partial ones
    held, weights = min(
        found,
        key=lambda f: (wanted.index(f[1].architecture.network), len(f[1].missing), -f[1].architecture.num_classes),
    )
    given = weights.architecture
    small_stem = given.small_stem
    architecture = Architecture(given.num_layers, values.num_classes, values.shape, small_stem, given.network)
    return Start(architecture, weights=weights, held=held)


def _wanted(network: str, num_layers: int, wanted: tuple[str, ...], values: Hyperparameters) -> bool:
    return network in wanted and num_layers in (values.num_layers, 0)


def _absent(values: Hyperparameters, folder: Path, others: list[tuple[str, int]], unusable: list[str]) -> str:
    """The sentence of a job whose weights are not there: what to run, or what to ask for instead."""
    depths = NETWORKS[values.network or PREACT_RESNET]
    title = f"ResNet-{values.num_layers}" if depths else str(values.network)
    text = f"use_pretrained_model is 1, but there are no pretrained weights for {title} in {folder}."
    published = registry.published_for(values.network, values.num_layers)
    if published:
        text += f" Fetch them with: darkroom weights pull {published[0].name}; or add"
    else:
        text += " Add"
    text += " a file of your own with: darkroom weights add FILE."
    instead = {f"network={network}" + (f", num_layers={depth}" if depth else "") for network, depth in others}
    if instead:
        text += f" Weights that are there go with {' or '.join(sorted(instead))}."
    if unusable:
        text += f" Not usable: {unusable[0]}."
    return text + " Or set use_pretrained_model to 0."


def _earlier(values: Hyperparameters, folder: Path) -> Start:
    """The model in the channel: model.tar.gz, or the files that were in it."""
    with tempfile.TemporaryDirectory() as unpacked:
        model = _load(folder, Path(unpacked))
    _refuse_what_diverged(model)
    own = model.net.architecture
    given = {"network": values.network or own.network}
    asked = given | {"image_shape": values.image_shape, "num_classes": values.num_classes}
    has = {
        "network": own.network,
        "image_shape": ",".join(map(str, own.image_shape)),
        "num_classes": own.num_classes,
    }
    if NETWORKS[own.network]:
        asked["num_layers"], has["num_layers"] = values.num_layers, own.num_layers
    faults = [
        f"The model in the {CHANNEL} channel has {name} {has[name]}, but the hyperparameter {name} is {asked[name]}: "
        f"set {name} to {has[name]}, or train without the {CHANNEL} channel."
        for name in has
        if has[name] != asked[name]
    ]
    if model.multi_label != bool(values.multi_label):
        faults.append(
            f"The model in the {CHANNEL} channel has multi_label {int(model.multi_label)}, but the hyperparameter "
            f"multi_label is {values.multi_label}: set it to {int(model.multi_label)}."
        )
    if faults:
        raise CustomerError(*faults)
    return Start(own, earlier=model)


def _refuse_what_diverged(model: Artifact) -> None:
    for name, tensor in model.net.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise CustomerError(
                f"The model in the {CHANNEL} channel holds values that are no numbers, in {name}. "
                f"Give it the model of a job that did not diverge, or train without the {CHANNEL} channel."
            )


def _load(folder: Path, unpacked: Path) -> Artifact:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    packed = [path for path in files if path.name.endswith((".tar.gz", ".tgz", ".tar"))]
    if not files:
        raise CustomerError(f"The {CHANNEL} channel is empty. Give it the S3 URI of a model.tar.gz.")
    if len(packed) > 1:
        names = ", ".join(path.name for path in packed[:MOST_NAMED])
        raise CustomerError(f"The {CHANNEL} channel holds {len(packed)} archives ({names}). Name one model.tar.gz.")
    try:
        if packed:
            archives.unpack(packed[0], unpacked, packed[0].name)
        return artifact.load(unpacked if packed else folder)
    except (archives.BadArchive, artifact.ArtifactError, OSError) as error:
        raise CustomerError(
            f"The {CHANNEL} channel holds no model that training can go on from: {error}. Give it a model.tar.gz of an "
            "image classification job, made here or by SageMaker."
        ) from error
