"""``deploy`` and ``endpoints``: a trained model becomes an endpoint that answers."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from darkroom.cli.connection import Connection, connect, message_of
from darkroom.cli.console import Failure, duration, err, out, unknown
from darkroom.cli.jobs import ago, coloured, plain_table
from darkroom.cli.servable import servable

POLL_S = 0.25
UNDER_WAY = ("Creating", "Updating", "SystemUpdating")
INSTANCE_TYPE = "ml.m5.large"  # a name only
VARIANT = "AllTraffic"


def deploy(
    job: Annotated[str, typer.Argument(help="Name of a training or compilation job.", metavar="JOB")],
    name: Annotated[str | None, typer.Option(help="Name of the endpoint; by default the job's.")] = None,
) -> None:
    """Serve the model of a training or compilation job. Waits until the endpoint answers."""
    connection = connect()
    endpoint, began = name or job, time.monotonic()
    create(connection, job, endpoint)
    wait_in_service(connection, endpoint)
    out.print(f"[bold green]In service[/] {endpoint} after {duration(time.monotonic() - began)}")
    out.print(f"  next   darkroom predict {endpoint} PHOTO…")


def endpoints() -> None:
    """List endpoints, newest first."""
    connection = connect()
    found = list(connection.list_all("list_endpoints", "Endpoints"))
    if not found:
        out.print("No endpoint yet; make one with: darkroom deploy JOB")
        return
    table = plain_table("endpoint", "status", "models", "created")
    for summary in found:
        name = summary["EndpointName"]
        models = ", ".join(models_of(connection, name))
        table.add_row(
            name, coloured(summary["EndpointStatus"]), models, ago(summary["CreationTime"], datetime.now(UTC))
        )
    out.print(table)


def create(connection: Connection, job: str, endpoint: str) -> None:
    """Model, endpoint configuration, endpoint. What a deployment before left behind of the first two is used again."""
    model = servable(connection, job)
    container = {"Image": model.image, "ModelDataUrl": model.model_data}
    variant = {"VariantName": VARIANT, "ModelName": job, "InitialInstanceCount": 1, "InstanceType": INSTANCE_TYPE}
    sagemaker = connection.sagemaker
    _unless_there(
        lambda: sagemaker.create_model(ModelName=job, PrimaryContainer=container, ExecutionRoleArn=connection.role)
    )
    _unless_there(lambda: sagemaker.create_endpoint_config(EndpointConfigName=endpoint, ProductionVariants=[variant]))
    if endpoint not in names(connection):
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)
    elif models_of(connection, endpoint) == [job]:
        err.print(f"{endpoint} serves {job} already")
    else:
        raise Failure(
            f"an endpoint named {endpoint} serves another model; choose a name: darkroom deploy {job} --name NAME"
        )


def wait_in_service(
    connection: Connection, endpoint: str, wait: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Raises Failure, with the reason, for an endpoint that does not come into service."""
    with err.status(f"[bold]Starting[/] {endpoint}"):
        while True:
            described: dict[str, Any] = connection.sagemaker.describe_endpoint(EndpointName=endpoint)
            if described["EndpointStatus"] not in UNDER_WAY:
                break
            wait(POLL_S)
    if described["EndpointStatus"] != "InService":
        reason = described.get("FailureReason") or f"it is {described['EndpointStatus']}"
        raise Failure(f"{endpoint} did not come into service: {reason}")
    return described


def names(connection: Connection) -> list[str]:
    return [item["EndpointName"] for item in connection.list_all("list_endpoints", "Endpoints")]


def describe_endpoint(connection: Connection, name: str) -> dict[str, Any]:
    """Raises Failure for an unknown name, and names the ones that look like it."""
    try:
        described: dict[str, Any] = connection.sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "could not find" not in message_of(error).lower():
            raise
        raise unknown("endpoint", name, names(connection)) from None
    return described


def models_of(connection: Connection, endpoint: str) -> list[str]:
    """Names of the models that an endpoint serves."""
    config = describe_endpoint(connection, endpoint)["EndpointConfigName"]
    variants = connection.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    return [variant["ModelName"] for variant in variants]


def _unless_there(create: Callable[[], object]) -> None:
    try:
        create()
    except ClientError as error:
        if "already existing" not in message_of(error) and "already exists" not in message_of(error):
            raise
