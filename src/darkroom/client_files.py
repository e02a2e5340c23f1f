"""What an unmodified AWS client needs to find this server: variables, and a few files the variables point at.

Knows what the SDKs read, and nothing of how they are answered. The files hold the server's literal URL, so the server
writes them at every start.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from darkroom.errors import Invalid
from darkroom.identity import Identity
from darkroom.settings import Settings

RULE_SET = Path("models", "sts", "2011-06-15", "endpoint-rule-set-1.json")
SDK_DEFAULTS = Path("sagemaker-defaults.yaml")

# TelemetryOptOut: SDK 2 calls home after every fit without a timeout, and prints a traceback where it cannot.
SDK_DEFAULTS_TEXT = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""

# Generation of the SDK → pip constraints. `pip install --upgrade sagemaker`, the first cell of many notebooks,
# installs version 3 today, which has no Estimator: a constraint leads it to the version the notebook was written for.
CONSTRAINTS: dict[int, tuple[str, ...]] = {
    1: (
        "sagemaker==1.72.1",
        "protobuf<3.21",  # its generated code fails to import with protobuf 4
        "setuptools<81",  # pkg_resources went away after that
    ),
    2: ("sagemaker>=2,<3",),
    3: ("sagemaker>=3",),
}

# Variables that would lead a client elsewhere, or sign with other keys; `env` unsets them.
INTERFERING = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "SAGEMAKER_ADMIN_CONFIG_OVERRIDE",
)
EVERY_SERVICE, ONE_SERVICE = "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def url(settings: Settings) -> str:
    """Where a client on this machine reaches the server; a server on every address is reached by loopback."""
    host = _host(settings)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def folder(settings: Settings) -> Path:
    return settings.home / "client"


def write(settings: Settings) -> None:
    """Write every file that ``environment`` points at. Each is replaced whole, for clients may be reading it."""
    texts = {RULE_SET: json.dumps(sts_rule_set(url(settings)), indent=1), SDK_DEFAULTS: SDK_DEFAULTS_TEXT}
    texts |= {_constraint_file(sdk): "\n".join(lines) + "\n" for sdk, lines in CONSTRAINTS.items()}
    for name, text in texts.items():
        path = folder(settings) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}-{os.getpid()}")
        beside.write_text(text)
        beside.replace(path)


def sts_rule_set(server_url: str) -> dict[str, object]:
    """An endpoint rule set by which botocore sends every STS call to ``server_url``.

    The SDKs build their STS client with the literal host sts.<region>.amazonaws.com, which beats AWS_ENDPOINT_URL.
    The URL that a rule set answers beats even that, and AWS_DATA_PATH is searched before botocore's own rule sets.
    """

    def parameter(kind: str, built_in: str, **more: object) -> dict[str, object]:
        return {"builtIn": built_in, "type": kind, "required": bool(more), "documentation": built_in, **more}

    return {
        "version": "1.0",
        "parameters": {
            "Region": parameter("string", "AWS::Region"),
            "UseDualStack": parameter("boolean", "AWS::UseDualStack", default=False),
            "UseFIPS": parameter("boolean", "AWS::UseFIPS", default=False),
            "Endpoint": parameter("string", "SDK::Endpoint"),
            "UseGlobalEndpoint": parameter("boolean", "AWS::STS::UseGlobalEndpoint", default=False),
        },
        "rules": [
            {
                "type": "endpoint",
                "conditions": [],
                "endpoint": {
                    "url": server_url,
                    "properties": {
                        "authSchemes": [{"name": "sigv4", "signingName": "sts", "signingRegion": "{Region}"}]
                    },
                    "headers": {},
                },
            }
        ],
    }


def environment(
    settings: Settings, identity: Identity, sdk: int | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Variables that lead a client here. ``environ`` is what it has now: lists in it are added to, not replaced.

    ``sdk`` is the generation of the sagemaker SDK (1, 2 or 3) that pip shall be held to. Raises Invalid for another.
    """
    files = folder(settings)
    values = {
        EVERY_SERVICE: url(settings),
        "AWS_DEFAULT_REGION": settings.region,  # the one boto3 reads
        "AWS_REGION": settings.region,  # the one other SDKs read
        "AWS_ACCESS_KEY_ID": identity.access_key,
        "AWS_SECRET_ACCESS_KEY": identity.secret_key,
        "AWS_DATA_PATH": _joined(os.pathsep, str(files / RULE_SET.parts[0]), environ.get("AWS_DATA_PATH", "")),
        "AWS_EC2_METADATA_DISABLED": "true",  # no two-second wait for a cloud that is not there
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(files / SDK_DEFAULTS),
    }
    for name in ("NO_PROXY", "no_proxy"):  # a proxy of the company does not know this machine's loopback
        values[name] = _joined(",", _not_proxied(settings), environ.get(name, ""))
    if sdk is not None:
        if sdk not in CONSTRAINTS:
            raise Invalid(f"there is no sagemaker SDK {sdk}; choose one of {', '.join(map(str, CONSTRAINTS))}")
        values["PIP_CONSTRAINT"] = str(files / _constraint_file(sdk))
    return values


def interfering(environ: Mapping[str, str]) -> list[str]:
    """Names in ``environ`` that would lead a client elsewhere."""
    return sorted(name for name in environ if name in INTERFERING or name.startswith(ONE_SERVICE))


def _host(settings: Settings) -> str:
    return ANY_ADDRESS.get(settings.host, settings.host)


def _not_proxied(settings: Settings) -> str:
    """Our host, and STS's: botocore looks for a proxy by the host that the SDKs hard-code, before it is led here."""
    return ",".join((_host(settings), f"sts.{settings.region}.amazonaws.com", "sts.amazonaws.com"))


def _constraint_file(sdk: int) -> Path:
    return Path(f"pip-constraint-sdk{sdk}.txt")


def _joined(separator: str, ours: str, theirs: str) -> str:
    own = ours.split(separator)
    return separator.join([*own, *(part for part in theirs.split(separator) if part and part not in own)])
