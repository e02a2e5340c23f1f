"""Endpoints and their configurations in SageMaker's words."""

from collections.abc import Mapping
from typing import Any

from darkroom.control.plane import Control
from darkroom.control.resources import Kind
from darkroom.control.views import Snapshot, VariantStatus
from darkroom.services.sagemaker.listing import listed, present, query_of
from darkroom.services.sagemaker.operations import operation, tags_of
from darkroom.wire.messages import Call

RETAINABLE = {"DesiredWeight": "weight", "DesiredInstanceCount": "count"}


@operation
def create_endpoint_config(control: Control, call: Call) -> dict[str, Any]:
    config = control.create_endpoint_config(call.params, tags_of(call.params), call.caller.region)
    return {"EndpointConfigArn": config.arn}


@operation
def describe_endpoint_config(control: Control, call: Call) -> dict[str, Any]:
    config = control.snapshot(Kind.ENDPOINT_CONFIG, call.params["EndpointConfigName"])
    return {
        "EnableNetworkIsolation": False,
        **config.request,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created,
    }


@operation
def delete_endpoint_config(control: Control, call: Call) -> None:
    control.delete(Kind.ENDPOINT_CONFIG, call.params["EndpointConfigName"])


@operation
def list_endpoint_configs(control: Control, call: Call) -> dict[str, Any]:
    page = control.page(Kind.ENDPOINT_CONFIG, query_of(call.params))
    return listed(page, "EndpointConfigs", _config_summary)


@operation
def create_endpoint(control: Control, call: Call) -> dict[str, Any]:
    return {"EndpointArn": control.create_endpoint(call.params, tags_of(call.params), call.caller.region).arn}


@operation
def describe_endpoint(control: Control, call: Call) -> dict[str, Any]:
    endpoint = control.endpoint(call.params["EndpointName"])
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config,
        "ProductionVariants": [_variant(variant) for variant in endpoint.variants],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        **present(FailureReason=endpoint.reason),
    }


@operation
def update_endpoint(control: Control, call: Call) -> dict[str, Any]:
    updated = control.update_endpoint(
        call.params["EndpointName"], call.params["EndpointConfigName"], _retained(call.params)
    )
    return {"EndpointArn": updated.arn}


def _retained(params: Mapping[str, Any]) -> set[str]:
    """What the variants keep of their present selves."""
    if not params.get("RetainAllVariantProperties"):
        return set()
    excluded = {p["VariantPropertyType"] for p in params.get("ExcludeRetainedVariantProperties", ())}
    return {member for name, member in RETAINABLE.items() if name not in excluded}


@operation
def update_endpoint_weights_and_capacities(control: Control, call: Call) -> dict[str, Any]:
    updated = control.update_capacities(call.params["EndpointName"], call.params["DesiredWeightsAndCapacities"])
    return {"EndpointArn": updated.arn}


@operation
def delete_endpoint(control: Control, call: Call) -> None:
    control.delete_endpoint(call.params["EndpointName"])


@operation
def list_endpoints(control: Control, call: Call) -> dict[str, Any]:
    return listed(control.page(Kind.ENDPOINT, query_of(call.params)), "Endpoints", _summary)


def _variant(variant: VariantStatus) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}],
        "CurrentWeight": variant.current_weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": variant.current_count,
        "DesiredInstanceCount": variant.desired_count,
    }


def _config_summary(config: Snapshot) -> dict[str, Any]:
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created,
    }


def _summary(endpoint: Snapshot) -> dict[str, Any]:
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": endpoint.status,
    }
