"""Which service a request is for, and which bucket its host names. Reads heads only."""

from collections.abc import Sequence

from darkroom.wire.messages import Request
from darkroom.wire.sigv4 import signing_service

SCOPES = {"monitoring": "cloudwatch"}  # signing name → service, where they differ
TARGETS = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
}
VERSIONS = {"2011-06-15": "sts", "2010-05-08": "iam", "2010-08-01": "cloudwatch"}  # of the Query protocol
FORM = "application/x-www-form-urlencoded"
AWS_HOST = ".amazonaws.com"


def service_of(request: Request) -> str:
    """By the signature's scope, else X-Amz-Target, else the form's content type, else S3."""
    name = signing_service(request)
    if name is None:
        name = _unsigned_service(request)
    if name == "sagemaker" and request.path.startswith("/endpoints/"):
        return "sagemaker-runtime"
    return SCOPES.get(name, name)


def _unsigned_service(request: Request) -> str:
    """What an unsigned request is probably meant for, so that the refusal is in words its client reads."""
    if target := request.headers.get("x-amz-target"):
        return TARGETS.get(target.partition(".")[0], "sagemaker")
    if request.headers.get("content-type", "").startswith(FORM) and request.path == "/":
        return "sts"
    if request.method == "POST" and request.path.startswith("/endpoints/"):
        return "sagemaker"
    return "s3"


def virtual_bucket(host: str, hosts: Sequence[str]) -> str:
    """The bucket in a host name, "" where there is none: "b.localhost:9460", "b.s3.us-east-1.amazonaws.com"."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.lower()
    if name.endswith(AWS_HOST):
        bucket, _, rest = name.removesuffix(AWS_HOST).rpartition(".s3")
        return bucket if rest == "" or rest[0] in ".-" else ""
    for known in hosts:
        if name.endswith(f".{known}"):
            return name.removesuffix(f".{known}")
    return ""
