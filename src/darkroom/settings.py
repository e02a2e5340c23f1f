"""Every setting, in one table: name, type, default, help. Environment, file, command line and docs read this one.

Order of precedence: an argument, then ``DARKROOM_<NAME>``, then ``darkroom.toml`` in the home folder, then the default.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from darkroom.errors import Invalid

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Settings:
    """Values of one server. Field names are the settings' names; ``help_of`` tells what each does."""

    home: Path = setting(Path("~/.darkroom"), "Folder of everything the server keeps: objects, jobs, logs, keys.")
    host: str = setting("127.0.0.1", "Address to listen on. Loopback by default: nobody else reaches it.")
    port: int = setting(9460, "TCP port of the one address that serves every AWS service.")
    region: str = setting("us-east-1", "Region printed by `darkroom env`. Requests for every region are answered.")
    account: str = setting("000000000000", "The twelve-digit account number in ARNs and default bucket names.")
    max_training_jobs: int = setting(
        max(1, (os.cpu_count() or 1) // 4), "Training jobs that run at once; others wait in Pending."
    )
    max_payload_bytes: int = setting(6 * 2**20, "Largest body of InvokeEndpoint. SageMaker's own limit is 6 MiB.")
    stop_grace_s: float = setting(120.0, "Seconds between SIGTERM and SIGKILL when a job is stopped.")
    isolation: str = setting(
        "auto", "How a job gets its own /opt/ml: 'namespace', 'folder' (environment variables only) or 'auto'."
    )
    strict: bool = setting(False, "Reproduce AWS's refusals (GPU instance types only, …) instead of helping.")
    s3_endpoint: str = setting("", "URL of an external S3 to keep objects in; empty: the built-in store.")
    s3_key: str = setting("", "Access key of the external S3.")
    s3_secret: str = setting("", "Secret key of the external S3.")
    log_level: str = setting("info", "What the server writes to its own log: debug, info, warning or error.")

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def help_of(name: str) -> str:
    return next(str(f.metadata["help"]) for f in fields(Settings) if f.name == name)


def load(environ: Mapping[str, str] = os.environ, **arguments: Any) -> Settings:
    """Settings from arguments (``None`` means not given), environment and file.

    Raises Invalid for an unknown name in the file or a value of the wrong type.
    """
    given = {k: v for k, v in arguments.items() if v is not None}
    table = {f.name: f for f in fields(Settings)}
    values: dict[str, Any] = {}
    home = Path(given.get("home") or environ.get("DARKROOM_HOME") or table["home"].default).expanduser().absolute()
    for name, value in _file_values(home / "darkroom.toml").items():
        if name not in table:
            raise Invalid(f"unknown setting {name!r} in {home / 'darkroom.toml'}; known are: {', '.join(table)}")
        values[name] = value
    values |= {n: environ[key] for n in table if (key := f"DARKROOM_{n.upper()}") in environ}
    values |= given
    return Settings(**{n: _convert(table[n], v) for n, v in values.items()} | {"home": home})


def _file_values(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{path} is not valid TOML: {error}") from None


def _convert(target: Field[Any], value: Any) -> Any:
    kind = type(target.default) if target.name != "home" else Path
    try:
        if kind is bool and isinstance(value, str):
            if value.lower() not in TRUE | FALSE:
                raise ValueError(f"use one of {', '.join(sorted(TRUE | FALSE))}")
            return value.lower() in TRUE
        return kind(value)
    except ValueError as error:
        raise Invalid(f"setting {target.name}={value!r} is not a {kind.__name__}: {error}") from None
