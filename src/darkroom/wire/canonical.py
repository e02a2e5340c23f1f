"""The canonical form of a request that Signature Version 4 signs: pure text, no keys.

Source: "Create a signed AWS API request" of the IAM User Guide; S3 differs in leaving paths as they are.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
UNRESERVED = "-_.~"


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Iterable[str], payload_hash: str
) -> str:
    """``path`` and ``query`` in canonical form; ``signed`` are the names of signed headers in the order given."""
    names = list(signed)
    lines = "".join([f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names])
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{payload_hash}"


def canonical_path(path: str) -> str:
    """Of every service but S3: dot segments and empty ones removed, then encoded once more."""
    if PLAIN_PATH.fullmatch(path):
        return path
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    tail = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + tail, safe="/~")


def canonical_query(raw: str, leave_out: str = "") -> str:
    """Pairs sorted as they were written; most clients write them the canonical way already."""
    if not raw:
        return ""
    pairs = sorted(p.partition("=")[::2] for p in raw.split("&") if p)
    return "&".join([f"{name}={value}" for name, value in pairs if name != leave_out])


def normalised(text: str, safe: str) -> str:
    """Percent-encoding as the canonical form has it, for clients that sent theirs otherwise ("a+b", "%7e", "é")."""
    return quote(unquote(text, "latin-1"), safe=safe, encoding="latin-1")


def normalised_query(raw: str, leave_out: str = "") -> str:
    pairs = (p.partition("=")[::2] for p in raw.split("&") if p)
    encoded = sorted((normalised(n, UNRESERVED), normalised(v, UNRESERVED)) for n, v in pairs if n != leave_out)
    return "&".join([f"{name}={value}" for name, value in encoded])
