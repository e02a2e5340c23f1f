"""All of SageMaker's operations that are offered, bound to one Control."""

from darkroom.control.plane import Control
from darkroom.services.sagemaker import endpoints, models, tags, training
from darkroom.services.sagemaker.operations import operation
from darkroom.wire.operations import Bound

MODULES = (training, models, endpoints, tags)  # importing them is what registers their handlers


def handlers(control: Control) -> dict[str, Bound]:
    """By snake_case operation name, for ``wire.service.Service("sagemaker", …)``."""
    return operation.bind(control)
