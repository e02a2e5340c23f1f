"""Tags of any SageMaker resource, by its ARN."""

from collections.abc import Mapping
from typing import Any

from darkroom.control.plane import Control
from darkroom.services.sagemaker.operations import operation, tags_of
from darkroom.wire.messages import Call


@operation
def add_tags(control: Control, call: Call) -> dict[str, Any]:
    return {"Tags": _members(control.tag(call.params["ResourceArn"], tags_of(call.params)))}


@operation
def list_tags(control: Control, call: Call) -> dict[str, Any]:
    return {"Tags": _members(control.tags(call.params["ResourceArn"]))}


@operation
def delete_tags(control: Control, call: Call) -> None:
    control.untag(call.params["ResourceArn"], call.params["TagKeys"])


def _members(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
