"""A model folder of the algorithm, run by PyTorch as its users know it: what the endpoint, batch transform and the
check of a finished training job run of a model that was not compiled. Knows no HTTP.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from darkroom.imaging.preprocess import SQUASH, Preprocess
from darkroom.networks import artifact, threads
from darkroom.serving.inputs import Photos
from darkroom.serving.predictor import UnusableModel


@dataclass(frozen=True)
class Eager:
    """Pictures one at a time: on a CPU batches gain nothing, and an answer never depends on its neighbours.

    Threads may read at once; ``infer`` is for one thread, which is then the only one that sets up torch's workers.
    """

    network: torch.nn.Module  # uint8 or float (N, C, H, W) → logits (N, classes); in evaluation mode, on ``device``
    device: torch.device
    input: Photos
    classes: tuple[str, ...]
    multi_label: bool
    description: str
    streams: int = 1

    @classmethod
    def load(cls, model_dir: Path, device: str | None = None) -> "Eager":
        """The model of a folder, on a GPU where there is one. Raises UnusableModel."""
        try:
            model = artifact.load(model_dir)
            preprocess = _preprocess(model)
        except (ValueError, OSError) as error:  # an ArtifactError is a ValueError
            raise UnusableModel(f"the model cannot be served: {error}") from error
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = model.net.eval().to(chosen)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub forgot it
        classes = model.classes or tuple(map(str, range(model.num_classes)))
        described = _describe(model, preprocess, chosen)
        return cls(network, chosen, Photos(preprocess), classes, model.multi_label, described)

    def infer(self, rows: np.ndarray) -> np.ndarray:
        """uint8 or float32 (N, H, W, C) → float32 probabilities (N, classes), row by row."""
        return np.concatenate([self._infer(row[np.newaxis]) for row in rows])

    @torch.inference_mode()
    def _infer(self, row: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(row).to(self.device).permute(0, 3, 1, 2)  # a channels_last view
        logits = self.network(images).float()
        probabilities = logits.sigmoid() if self.multi_label else logits.softmax(dim=1)
        answer: np.ndarray = probabilities.cpu().numpy()
        return answer

    def warm_up(self, cores: int = 1) -> None:
        """One forward of a gray picture, with as many of ``cores`` as the network is worth; so go all that follow in
        this thread. Raises UnusableModel for a model that answers with what is no number."""
        p = self.input.preprocess
        if self.device.type == "cpu":
            torch.set_num_threads(threads.worthwhile(self.network, (p.channels, p.height, p.width), 1, cores))
        answer = self.infer(np.full((1, p.height, p.width, p.channels), 127, np.uint8))
        if not np.isfinite(answer).all():
            raise UnusableModel(
                "the model answers NaN: its training diverged; train again with a smaller learning_rate"
            )


def _preprocess(model: artifact.Artifact) -> Preprocess:
    """What the model records; for one made on AWS, what AWS's endpoint does. Raises ValueError."""
    channels, height, width = model.image_shape
    if model.preprocessing is None:
        return Preprocess(height, width, channels, mode=SQUASH)
    preprocess = Preprocess.from_dict(model.preprocessing)
    if (preprocess.channels, preprocess.height, preprocess.width) != model.image_shape:
        raise ValueError(f"its record of preprocessing, {preprocess}, does not fit its image shape {model.image_shape}")
    return preprocess


def _describe(model: artifact.Artifact, preprocess: Preprocess, device: torch.device) -> str:
    return (
        f"{model.net.architecture.title} after {model.epoch} epoch(s), {model.num_classes} classes"
        f"{', multi-label' if model.multi_label else ''}, on {device}; {preprocess}"
    )
