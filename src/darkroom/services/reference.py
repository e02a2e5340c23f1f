"""Writes docs/reference/operations.md: which operations of which service are offered.

``python -m darkroom.services.reference > docs/reference/operations.md``. Reads the registries that serve the requests,
so it cannot say what is not so.
"""

import re
import sys
from collections.abc import Collection
from html import unescape

from darkroom.services.cloudwatch import CLOUDWATCH
from darkroom.services.ecr import ECR
from darkroom.services.iam import IAM
from darkroom.services.logs import LOGS
from darkroom.services.runtime import RUNTIME
from darkroom.services.s3 import service as s3
from darkroom.services.sagemaker import service as _registered  # noqa: F401 (its import registers the handlers)
from darkroom.services.sagemaker.operations import operation as sagemaker_operation
from darkroom.services.sts import STS
from darkroom.wire.models import Model, model

OFFERED: dict[str, Collection[str]] = {  # snake_case operation names by service
    "sagemaker": sagemaker_operation.handlers,
    "sagemaker-runtime": RUNTIME.handlers,
    "s3": [name for registry in s3.REGISTRIES for name in registry.handlers],
    "logs": LOGS.handlers,
    "cloudwatch": CLOUDWATCH.handlers,
    "sts": STS.handlers,
    "iam": IAM.handlers,
    "ecr": ECR.handlers,
}
HEAD = """# Operations

Which operations of Amazon's services are offered here. Every other one answers an error that says so
(`UnknownOperationException` with HTTP 400, in S3 `NotImplemented` with HTTP 501), which clients do not retry.

Written by `python -m darkroom.services.reference` from the registries that serve the requests. The descriptions are the
first sentences of Amazon's service models, as botocore (Apache-2.0) ships them.

| service | protocols | offered | not offered |
|---|---|---|---|
"""
LONGEST = 160  # characters of a description


def page() -> str:
    """The whole page, in Markdown."""
    rows = "".join(_row(model(name), offered) for name, offered in OFFERED.items())
    return HEAD + rows + "".join(_section(model(name), offered) for name, offered in OFFERED.items() if offered)


def _row(service: Model, offered: Collection[str]) -> str:
    spoken = [p for p in service.metadata.get("protocols", [service.metadata["protocol"]]) if "cbor" not in p]
    rest = len(service.operations) - len(offered)
    title = f"{service.metadata['serviceFullName']} (`{service.name}`)"
    return f"| {title} | {', '.join(spoken)} | {len(offered)} | {rest} |\n"


def _section(service: Model, offered: Collection[str]) -> str:
    lines = "".join(
        f"| {name} | {summary(service.operation(name).documentation)} |\n"
        for name in sorted(service.names[snake] for snake in offered)
    )
    return f"\n## {service.metadata['serviceFullName']}\n\n| operation | what it does |\n|---|---|\n{lines}"


def summary(html: str) -> str:
    """The first sentence of a documentation text, without markup, fit for a table cell."""
    without_notes = re.sub(r"<(note|important)>.*?</\1>", " ", html, flags=re.DOTALL)
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", without_notes)).split()).replace(" .", ".").replace(" ,", ",")
    sentence = re.split(r"(?<!\b[A-Z])\. (?=[A-Z])", text, maxsplit=1)[0].rstrip(".")
    if len(sentence) > LONGEST:
        sentence = sentence[:LONGEST].rsplit(" ", 1)[0] + " …"
    return sentence.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
