"""What an image URI stands for: an environment and the commands to run in it.

URIs differ by region and account, so only the repository name counts. ``{python}`` in a command is the interpreter
of the environment, which the executor knows.
"""

import re
from dataclasses import dataclass

from darkroom.contract.metrics import IMAGE_CLASSIFICATION, MetricDefinition
from darkroom.errors import Invalid


@dataclass(frozen=True)
class Image:
    """One kind of container image, and how this platform runs it."""

    repository: str
    environment: str  # name of an environment recipe; "builtin" is the one Darkroom itself runs in
    train: tuple[str, ...] = ()  # empty: cannot train
    serve: tuple[str, ...] = ()  # empty: cannot serve
    metrics: tuple[MetricDefinition, ...] = ()
    channels: tuple[str, ...] = ()  # names it reads; empty: any
    required_channels: tuple[str, ...] = ()
    gpu_only: bool = False  # on AWS; here only where the setting ``strict`` asks for AWS's refusals


COMPILED = (  # what SageMaker and its SDKs name for compiled models
    "image-classification-neo",
    "sagemaker-neo-mxnet",
    "sagemaker-neo-pytorch",
    "sagemaker-neo-tensorflow",
    "sagemaker-neo-onnx",
    "sagemaker-inference-mxnet",
    "sagemaker-inference-pytorch",
    "sagemaker-inference-tensorflow",
)
SERVE = ("{python}", "-m", "darkroom.serving", "serve")
IMAGES = {
    image.repository: image
    for image in (
        Image(
            "image-classification",
            "builtin",
            train=("{python}", "-m", "darkroom.algorithm", "train"),
            serve=SERVE,
            metrics=IMAGE_CLASSIFICATION,
            channels=("train", "validation", "train_lst", "validation_lst", "model"),
            required_channels=("train",),
            gpu_only=True,
        ),
        # Either URI serves either artifact: people mix them up, and nothing is gained by refusing.
        *(Image(repository, "builtin", serve=SERVE) for repository in COMPILED),
    )
}
URI = re.compile(r"^(?:[^/]+/)*(?P<repository>[a-z0-9][a-z0-9._-]*)(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?$")


def repository_of(uri: str) -> str:
    found = URI.match(uri)
    return found["repository"] if found else uri


def image_of(uri: str) -> Image:
    """The image a URI stands for. Raises Invalid, naming the known repositories."""
    try:
        return IMAGES[repository_of(uri)]
    except KeyError:
        known = ", ".join(sorted(IMAGES))
        raise Invalid(f"image {uri!r} is not offered here; offered repositories are: {known}") from None
