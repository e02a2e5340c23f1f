"""IAM, as far as SageMaker clients ask it: does a role exist, may SageMaker assume it, may it do this or that.

There are no roles here: whoever holds a key of this server may do everything, and every role name stands for that.
Bound to the account number.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from darkroom.wire.messages import Call
from darkroom.wire.operations import Operations

IAM = Operations("iam")
EXECUTION_ROLE = "AmazonSageMaker-ExecutionRole-darkroom"
SINCE = datetime(2017, 11, 29, tzinfo=UTC)  # SageMaker's first day: roles that always were
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


@IAM
def get_role(account: str, call: Call) -> dict[str, Any]:
    name = call.params["RoleName"]
    path = "/service-role/" if name.startswith("AmazonSageMaker-") else "/"
    return {
        "Role": {
            "Path": path,
            "RoleName": name,
            "RoleId": role_id(name),
            "Arn": f"arn:aws:iam::{account}:role{path}{name}",
            "CreateDate": SINCE,
            "AssumeRolePolicyDocument": quote(json.dumps(TRUST), safe=""),
            "Description": "Darkroom keeps no roles: every name stands for the rights of this server's key.",
            "MaxSessionDuration": 3600,
        }
    }


@IAM
def simulate_principal_policy(account: str, call: Call) -> dict[str, Any]:
    resources = call.params.get("ResourceArns") or ["*"]
    return {
        "EvaluationResults": [
            {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
            for action in call.params["ActionNames"]
            for resource in resources
        ],
        "IsTruncated": False,
    }


def role_id(name: str) -> str:
    """Twenty-one characters, as IAM's, the same for a name each time."""
    return "AROA" + base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:17]
