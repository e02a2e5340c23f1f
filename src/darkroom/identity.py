"""The one pair of keys that a server and its clients share, made at first start.

Knows a file and its permissions; knows nothing of signatures.
"""

import json
import os
import secrets
import string
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.errors import Invalid

FILE = "keys.json"
ID_ALPHABET = string.ascii_uppercase + "234567"  # base32, as in AWS's own ids
SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"


@dataclass(frozen=True)
class Identity:
    """An access key in AWS's shape. The secret never shows in a repr, so it never lands in a log or a traceback."""

    access_key: str  # 20 characters, "AKIA…"
    secret_key: str = field(repr=False)  # 40 characters

    def secret_of(self, access_key: str) -> str | None:
        """The secret that belongs to ``access_key``; None for a key that is not ours."""
        return self.secret_key if access_key == self.access_key else None


def load_or_create(home: Path) -> Identity:
    """The identity kept in ``home``, made where there is none.

    Two first starts at once end with the same keys: whoever links the finished file first wins, the other reads it.
    Raises Invalid for a file that holds no keys.
    """
    path = home / FILE
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _publish(path, _fresh())
    return _read(path)


def _fresh() -> Identity:
    return Identity(
        "AKIA" + "".join(secrets.choice(ID_ALPHABET) for _ in range(16)),
        "".join(secrets.choice(SECRET_ALPHABET) for _ in range(40)),
    )


def _publish(path: Path, identity: Identity) -> None:
    """Write beside, then link: the name appears with its whole content or not at all, and never replaces another."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".keys-") as file:  # made with mode 0600
        json.dump({"access_key": identity.access_key, "secret_key": identity.secret_key}, file)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return


def _read(path: Path) -> Identity:
    with open(path) as file:
        if os.fstat(file.fileno()).st_mode & 0o077:  # someone loosened it: tighten rather than refuse to start
            os.fchmod(file.fileno(), 0o600)
        try:
            record = json.load(file)
            return Identity(str(record["access_key"]), str(record["secret_key"]))
        except (ValueError, KeyError, TypeError):
            raise Invalid(f"{path} holds no keys; remove it and the server makes new ones at its next start") from None
