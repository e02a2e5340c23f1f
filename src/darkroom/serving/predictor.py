"""A model folder as a function from image bytes to probabilities: what the endpoint, batch transform and the check of
a finished training job all run. Knows no HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from darkroom.imaging.preprocess import SQUASH, Preprocess
from darkroom.networks import artifact, threads
from darkroom.serving.content import check_content


class UnusableModel(Exception):
    """The model folder cannot be served; the message is one sentence that says why."""


@dataclass(frozen=True)
class Predictor:
    """Pictures one at a time: on a CPU batches gain nothing, and an answer never depends on its neighbours.

    ``classes`` are the class names; "0", "1", … where the model brought none. Threads may decode at once; ``infer`` is
    for one thread, which is then the only one that sets up torch's workers.
    """

    network: torch.nn.Module  # uint8 or float (N, C, H, W) → logits (N, classes); in evaluation mode, on ``device``
    device: torch.device
    preprocess: Preprocess
    classes: tuple[str, ...]
    multi_label: bool
    description: str

    @classmethod
    def load(cls, model_dir: Path, device: str | None = None) -> "Predictor":
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
        return cls(network, chosen, preprocess, classes, model.multi_label, _describe(model, preprocess, chosen))

    def predict(self, data: bytes, content_type: str | None = None) -> np.ndarray:
        """float32 probabilities (classes,). Raises Refused for a type that is no image's, and BadImage."""
        check_content(content_type, data)
        return self.infer(self.preprocess.apply(data))

    def predict_batch(self, images: Sequence[bytes]) -> np.ndarray:
        """float32 probabilities (N, classes), row by row the bits that ``predict`` gives. Raises BadImage."""
        return np.stack([self.infer(self.preprocess.apply(data)) for data in images])

    @torch.inference_mode()
    def infer(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W, C) → float32 probabilities (classes,)."""
        images = torch.from_numpy(pixels[np.newaxis]).to(self.device).permute(0, 3, 1, 2)  # a channels_last view
        logits = self.network(images).float()
        probabilities = logits.sigmoid() if self.multi_label else logits.softmax(dim=1)
        answer: np.ndarray = probabilities[0].cpu().numpy()
        return answer

    def warm_up(self, cores: int = 1) -> None:
        """One forward of a gray picture, with as many of ``cores`` as the network is worth; so go all that follow in
        this thread. Raises UnusableModel for a model that answers with what is no number."""
        p = self.preprocess
        if self.device.type == "cpu":
            torch.set_num_threads(threads.worthwhile(self.network, (p.channels, p.height, p.width), 1, cores))
        answer = self.infer(np.full((p.height, p.width, p.channels), 127, np.uint8))
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
        f"ResNet-{model.num_layers} after {model.epoch} epoch(s), {model.num_classes} classes"
        f"{', multi-label' if model.multi_label else ''}, on {device}; {preprocess}"
    )
