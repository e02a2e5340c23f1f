"""Bucket policies, for the one question asked here: what may somebody do who has not signed?

Pure functions on frozen values. What is not understood (conditions, NotPrincipal, NotAction, NotResource, policy
variables) never allows and always denies.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from darkroom.errors import Invalid

MAX_BYTES = 20 * 1024
VERSIONS = ("2008-10-17", "2012-10-17")
ELEMENTS = {
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
}


@dataclass(frozen=True)
class Statement:
    """``exact`` is False where it holds something that is not understood here."""

    allows: bool
    everyone: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    exact: bool = True


@dataclass(frozen=True)
class Policy:
    statements: tuple[Statement, ...]

    @property
    def is_public(self) -> bool:
        return any(s.allows and s.everyone and s.exact for s in self.statements)


def allows_everyone(policy: Policy, action: str, resource: str) -> bool:
    """Whether an anonymous caller may do ``action`` ("s3:GetObject") on ``resource`` (an ARN). Deny wins."""
    allowed = False
    for statement in policy.statements:
        if not statement.exact:
            if not statement.allows:
                return False
        elif statement.everyone and _applies(statement, action, resource):
            if not statement.allows:
                return False
            allowed = True
    return allowed


def _applies(statement: Statement, action: str, resource: str) -> bool:
    return any(_pattern(a.lower()).fullmatch(action.lower()) for a in statement.actions) and any(
        _pattern(r).fullmatch(resource) for r in statement.resources
    )


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """``*`` is any text, ``?`` any one character.

    Each piece between two ``*`` takes its first place and keeps it ("(?>…)"): right for such patterns, and a policy
    of many ``*`` cannot keep a matcher, and with it the server, busy for ever.
    """
    first, *others = ("".join("." if c == "?" else re.escape(c) for c in piece) for piece in re.split(r"\*+", text))
    if not others:
        return re.compile(first, re.DOTALL)
    inner = "".join(f"(?>.*?{piece})" for piece in others[:-1])
    return re.compile(f"{first}{inner}.*{others[-1]}", re.DOTALL)


def parse(text: str, bucket: str) -> Policy:
    """Read a policy of a bucket. Raises Invalid with S3's words for what is wrong with it."""
    if len(text.encode()) > MAX_BYTES:
        raise Invalid("Policy exceeds the maximum allowed document size.")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Invalid("Policies must be valid JSON and the first byte must be '{'")
    if document.get("Version", VERSIONS[0]) not in VERSIONS:
        raise Invalid(f"The policy must contain a valid version string; it is one of {', '.join(VERSIONS)}")
    statements = document.get("Statement")
    if not statements:
        raise Invalid("Missing required field Statement")
    return Policy(tuple(_statement(s, bucket) for s in _listed(statements)))


def _statement(found: Any, bucket: str) -> Statement:
    if not isinstance(found, dict):
        raise Invalid("Statement must be an object or a list of objects")
    if unknown := found.keys() - ELEMENTS:
        raise Invalid(f"Unknown field {min(unknown)}")
    if found.get("Effect") not in ("Allow", "Deny"):
        raise Invalid("Missing required field Effect" if "Effect" not in found else "Invalid effect: Allow or Deny")
    for name in ("Principal", "Action", "Resource"):
        if name not in found and f"Not{name}" not in found:
            raise Invalid(f"Missing required field {name}")
    actions = _texts(found.get("Action", found.get("NotAction")), "action")
    resources = _texts(found.get("Resource", found.get("NotResource")), "resource")
    if not all(a == "*" or a.lower().startswith("s3:") for a in actions):
        raise Invalid("Policy has invalid action")
    if not all(_of_bucket(r, bucket) for r in resources):
        raise Invalid("Policy has invalid resource")
    exact = not found.get("Condition") and not any("${" in text for text in resources)
    exact = exact and not any(f"Not{name}" in found for name in ("Principal", "Action", "Resource"))
    everyone = _everyone(found.get("Principal", found.get("NotPrincipal")))
    return Statement(found["Effect"] == "Allow", everyone, actions, resources, exact)


def _of_bucket(resource: str, bucket: str) -> bool:
    """A policy may only speak of its own bucket."""
    found = re.fullmatch(r"arn:aws[a-z-]*:s3:::([^/]*)(/.*)?", resource, re.DOTALL)
    return found is not None and (_pattern(found[1]).fullmatch(bucket) is not None or "${" in found[1])


def _everyone(principal: Any) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping) or not principal:
        raise Invalid("Invalid principal in policy")
    return any("*" in _texts(who, "principal") for kind, who in principal.items() if kind == "AWS")


def _texts(value: Any, what: str) -> tuple[str, ...]:
    texts = tuple(_listed(value))
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise Invalid(f"Policy has invalid {what}")
    return texts


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
