"""All of SageMaker's operations that are offered, as one service."""

from darkroom.control.plane import Control
from darkroom.services.sagemaker import compilation, endpoints, models, search, tags, training
from darkroom.services.sagemaker.operations import operation
from darkroom.wire.service import Service

MODULES = (training, compilation, models, endpoints, tags, search)  # importing them is what registers their handlers


def service(control: Control) -> Service:
    return Service("sagemaker", operation.bind(control))
