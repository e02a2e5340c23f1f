"""STS, IAM and ECR as the SageMaker SDKs ask them."""

import json
from contextlib import closing
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from darkroom.services.ecr import ECR
from darkroom.services.iam import IAM
from darkroom.services.sts import STS
from darkroom.wire.front import Front
from darkroom.wire.service import Service
from darkroom.wire.sigv4 import Verifier
from tests.wire.live import KEY, SECRET, client, serving

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def port():
    services = {o.service: Service(o.service, o.bind(ACCOUNT)) for o in (STS, IAM, ECR)}
    with serving(Front(services, Verifier({KEY: SECRET}.get))) as port:
        yield port


def test_the_caller_is_an_assumed_role_that_sdk_1_takes_for_the_execution_role(port):
    with closing(client(port, "sts")) as sts:
        identity = sts.get_caller_identity()
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/AmazonSageMaker-ExecutionRole-darkroom/darkroom"
    assert identity["UserId"].endswith(":darkroom")


@pytest.mark.parametrize(
    ("name", "path"), [("AmazonSageMaker-ExecutionRole-darkroom", "/service-role/"), ("MyRole", "/")]
)
def test_every_role_exists_and_sagemaker_may_assume_it(port, name, path):
    with closing(client(port, "iam")) as iam:
        role = iam.get_role(RoleName=name)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role{path}{name}"
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert len(role["RoleId"]) == 21


def test_the_trust_policy_travels_url_encoded():
    class Asked:
        params = {"RoleName": "r"}  # noqa: RUF012

    document = IAM.handlers["get_role"](ACCOUNT, Asked())["Role"]["AssumeRolePolicyDocument"]
    assert document.startswith("%7B")
    assert json.loads(unquote(document))["Version"] == "2012-10-17"


def test_role_names_keep_to_their_pattern(port):
    with closing(client(port, "iam")) as iam, pytest.raises(ClientError, match="failed to satisfy constraint"):
        iam.get_role(RoleName="no spaces")


def test_everything_is_allowed(port):
    arn = f"arn:aws:iam::{ACCOUNT}:role/r"
    with closing(client(port, "iam")) as iam:
        asked = {"PolicySourceArn": arn, "ActionNames": ["s3:GetObject", "s3:PutObject"]}
        anywhere = iam.simulate_principal_policy(**asked)
        somewhere = iam.simulate_principal_policy(**asked, ResourceArns=["arn:aws:s3:::b"])
    assert [r["EvalDecision"] for r in anywhere["EvaluationResults"]] == ["allowed", "allowed"]
    assert somewhere["EvaluationResults"][1]["EvalResourceName"] == "arn:aws:s3:::b"
    assert not anywhere["IsTruncated"]


def test_there_is_no_registry_to_log_in_to(port):
    with closing(client(port, "ecr")) as ecr, pytest.raises(ClientError, match="GetAuthorizationToken is not offered"):
        ecr.get_authorization_token()
