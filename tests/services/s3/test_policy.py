"""What a bucket policy opens to everyone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import Invalid
from darkroom.services.s3.policy import allows_everyone, parse

BUCKET = "cats"
ARN = f"arn:aws:s3:::{BUCKET}"
PUBLIC_READ = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
# As in the notebook that shares its .rec files: the version of 2008, and the principal as a mapping.
NOTEBOOK = {
    "Version": "2008-10-17",
    "Statement": [
        {
            "Sid": "AllowPublicRead",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "s3:GetObject",
            "Resource": f"{ARN}/*",
        }
    ],
}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def may(text: str, action: str = "s3:GetObject", resource: str = f"{ARN}/a/b.jpg") -> bool:
    return allows_everyone(parse(text, BUCKET), action, resource)


def test_the_notebooks_policy_opens_its_objects_and_nothing_else() -> None:
    text = json.dumps(NOTEBOOK)
    assert may(text)
    assert not may(text, "s3:ListBucket", ARN)
    assert not may(text, "s3:PutObject")
    assert not may(text, resource="arn:aws:s3:::dogs/a.jpg")
    assert parse(text, BUCKET).is_public


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"Action": "s3:*"}, True),
        ({"Action": "*"}, True),
        ({"Action": "S3:getobject"}, True),
        ({"Action": ["s3:PutObject", "s3:Get*"]}, True),
        ({"Action": "s3:GetObjectTagging"}, False),
        ({"Resource": [f"{ARN}/x/*", f"{ARN}/a/?.jpg"]}, True),
        ({"Resource": f"{ARN}/A/*"}, False),
        ({"Resource": ARN}, False),
        ({"Resource": "arn:aws:s3:::*"}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::1:root", "*"]}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, False),
        ({"Principal": {"Service": "*"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, False),
        ({"Condition": {}}, True),
        ({"Resource": f"{ARN}/${{aws:username}}/*"}, False),
    ],
)
def test_one_statement(change: dict[str, Any], allowed: bool) -> None:
    assert may(document(PUBLIC_READ | change)) is allowed


@pytest.mark.parametrize("name", ["Principal", "Action", "Resource"])
def test_the_negative_forms_never_allow_and_always_deny(name: str) -> None:
    value = PUBLIC_READ[name]
    odd = {k: v for k, v in PUBLIC_READ.items() if k != name} | {f"Not{name}": value}
    assert not may(document(odd))
    assert not may(document(PUBLIC_READ, odd | {"Effect": "Deny"}))
    assert may(document(PUBLIC_READ, odd))


def test_deny_wins_whatever_the_order() -> None:
    deny = PUBLIC_READ | {"Effect": "Deny", "Resource": f"{ARN}/secret/*"}
    for text in document(PUBLIC_READ, deny), document(deny, PUBLIC_READ):
        assert may(text)
        assert not may(text, resource=f"{ARN}/secret/a.jpg")


def test_a_deny_under_a_condition_is_taken_as_a_deny() -> None:
    deny = PUBLIC_READ | {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    assert not may(document(PUBLIC_READ, deny))


def test_only_what_everyone_gets_without_condition_is_public() -> None:
    assert not parse(document(PUBLIC_READ | {"Condition": {"StringEquals": {"a": "b"}}}), BUCKET).is_public
    assert not parse(document(PUBLIC_READ | {"Effect": "Deny"}), BUCKET).is_public


@given(st.text(st.sampled_from("ab*?.["), max_size=6), st.text(st.sampled_from("ab.["), max_size=6))
def test_patterns_match_as_written(pattern: str, key: str) -> None:
    def matches(p: str, k: str) -> bool:
        if not p:
            return not k
        if p[0] == "*":
            return matches(p[1:], k) or (bool(k) and matches(p, k[1:]))
        return bool(k) and p[0] in ("?", k[0]) and matches(p[1:], k[1:])

    text = document(PUBLIC_READ | {"Resource": f"{ARN}/{pattern}"})
    assert may(text, resource=f"{ARN}/{key}") is matches(pattern, key)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json", "valid JSON"),
        ("[]", "valid JSON"),
        ("{}", "Missing required field Statement"),
        (json.dumps({"Version": "2020-01-01", "Statement": [PUBLIC_READ]}), "version"),
        (document(PUBLIC_READ | {"Effect": "Maybe"}), "effect"),
        (document({k: v for k, v in PUBLIC_READ.items() if k != "Effect"}), "Missing required field Effect"),
        (document({k: v for k, v in PUBLIC_READ.items() if k != "Principal"}), "Missing required field Principal"),
        (document({k: v for k, v in PUBLIC_READ.items() if k != "Action"}), "Missing required field Action"),
        (document({k: v for k, v in PUBLIC_READ.items() if k != "Resource"}), "Missing required field Resource"),
        (document(PUBLIC_READ | {"Principal": "everyone"}), "Invalid principal"),
        (document(PUBLIC_READ | {"Action": "ec2:RunInstances"}), "invalid action"),
        (document(PUBLIC_READ | {"Action": 5}), "invalid action"),
        (document(PUBLIC_READ | {"Resource": "arn:aws:s3:::dogs/*"}), "invalid resource"),
        (document(PUBLIC_READ | {"Resource": "cats/*"}), "invalid resource"),
        (document(PUBLIC_READ | {"Efect": "Allow"}), "Unknown field Efect"),
        (document(PUBLIC_READ | {"Sid": "x" * 21000}), "maximum allowed document size"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse(text, BUCKET)


def test_a_policy_of_many_stars_does_not_keep_the_server_busy_for_ever() -> None:
    wild = PUBLIC_READ | {"Resource": f"{ARN}/" + "*a" * 100 + "*c"}
    assert not may(document(wild), resource=f"{ARN}/" + "a" * 1000)
    assert may(document(wild), resource=f"{ARN}/" + "a" * 1000 + "c")
