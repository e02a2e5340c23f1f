"""Models in SageMaker's words: an image and a model.tar.gz by name."""

from typing import Any

from darkroom.control.plane import Control
from darkroom.control.resources import Kind
from darkroom.control.views import Snapshot
from darkroom.services.sagemaker.listing import listed, query_of
from darkroom.services.sagemaker.operations import operation, tags_of
from darkroom.wire.messages import Call


@operation
def create_model(control: Control, call: Call) -> dict[str, Any]:
    return {"ModelArn": control.create_model(call.params, tags_of(call.params), call.caller.region).arn}


@operation
def describe_model(control: Control, call: Call) -> dict[str, Any]:
    model = control.snapshot(Kind.MODEL, call.params["ModelName"])
    return {"EnableNetworkIsolation": False, **model.request, "ModelArn": model.arn, "CreationTime": model.created}


@operation
def delete_model(control: Control, call: Call) -> None:
    control.delete(Kind.MODEL, call.params["ModelName"])


@operation
def list_models(control: Control, call: Call) -> dict[str, Any]:
    return listed(control.page(Kind.MODEL, query_of(call.params)), "Models", _summary)


def _summary(model: Snapshot) -> dict[str, Any]:
    return {"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created}
