"""``delete``: an endpoint with all that was made for it, or one resource by its kind."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from darkroom.cli.connection import Connection, connect
from darkroom.cli.console import Failure, err, out, unknown
from darkroom.cli.deploying import POLL_S, describe_endpoint, names


@dataclass(frozen=True)
class Kind:
    """One kind of resource: its List operation, the member that lists, and the parameter that names one."""

    listing: str
    member: str
    parameter: str
    delete: str


KINDS = {
    "endpoint": Kind("list_endpoints", "Endpoints", "EndpointName", "delete_endpoint"),
    "endpoint-config": Kind("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "delete_endpoint_config"),
    "model": Kind("list_models", "Models", "ModelName", "delete_model"),
}
Item = tuple[str, str]  # kind, name


def delete(
    words: Annotated[
        list[str], typer.Argument(help="NAME of an endpoint, or KIND NAME.", metavar="[KIND] NAME", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an endpoint with its configuration and models, or one thing: KIND is endpoint, endpoint-config or model.

    Training jobs and their models in the object store stay.
    """
    if len(words) > 2:
        raise Failure("name one thing: darkroom delete NAME, or darkroom delete KIND NAME", 2)
    connection = connect()
    items = family(connection, words[0]) if len(words) == 1 else [single(connection, *words)]
    listed = ", ".join(f"{kind} {name}" for kind, name in items)
    if not yes and not typer.confirm(f"Delete {listed}?", err=True):
        raise Failure("nothing was deleted")
    for kind, name in items:
        remove(connection, kind, name)
    wait_until_gone(connection, [name for kind, name in items if kind == "endpoint"])
    out.print(f"Deleted {listed}")


def wait_until_gone(connection: Connection, endpoints: list[str], wait: Callable[[float], None] = time.sleep) -> None:
    """Its processes are ended, too, once an endpoint is gone from the list."""
    while set(endpoints) & set(names(connection)):
        wait(POLL_S)


def family(connection: Connection, endpoint: str) -> list[Item]:
    """An endpoint, its configuration, and those of its models that no other configuration names."""
    config = describe_endpoint(connection, endpoint)["EndpointConfigName"]
    used = models_by_config(connection)
    elsewhere = {model for other, models in used.items() if other != config for model in models}
    own = sorted(used.get(config, set()) - elsewhere)
    return [("endpoint", endpoint), ("endpoint-config", config), *(("model", model) for model in own)]


def models_by_config(connection: Connection) -> dict[str, set[str]]:
    found = {}
    for item in connection.list_all("list_endpoint_configs", "EndpointConfigs"):
        name = item["EndpointConfigName"]
        variants = connection.sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
        found[name] = {variant["ModelName"] for variant in variants}
    return found


def single(connection: Connection, kind: str, name: str) -> Item:
    """Raises Failure for a kind or a name that is not there."""
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    table = KINDS[kind]
    known = [item[table.parameter] for item in connection.list_all(table.listing, table.member)]
    if name not in known:
        raise unknown(kind, name, known)
    return kind, name


def remove(connection: Connection, kind: str, name: str) -> None:
    table = KINDS[kind]
    operation: Callable[..., Any] = getattr(connection.sagemaker, table.delete)
    try:
        operation(**{table.parameter: name})
    except ClientError as error:  # someone else was quicker: it is gone all the same
        if "could not find" not in str(error).lower():
            raise
        err.print(f"{kind} {name} was gone already")
