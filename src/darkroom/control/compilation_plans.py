"""From a CreateCompilationJob request to the Task that compiles, and to where its artifact goes. Pure."""

import ast
import json
from collections.abc import Mapping
from typing import Any

from darkroom.control.locations import bucket_and_key
from darkroom.control.resources import Resource
from darkroom.control.states import compilation
from darkroom.executors.base import Input, LogTarget, Task

LOGS = "/aws/sagemaker/CompilationJobs"
COMMAND = ("{python}", "-m", "darkroom.compiler")
ENVIRONMENT = "builtin"
ARCHIVES = (".tar.gz", ".tgz")
REPORTS = ("compilation-report.json", "compilation-report.html")
TOLD = ("CompilationJobName", "InputConfig", "OutputConfig", "StoppingCondition")


def log_of(job: Resource) -> LogTarget:
    return LogTarget(LOGS, job.name)


def task(job: Resource, channels: Mapping[str, str], region: str) -> Task:
    """``channels``: photos to calibrate on and to check, each an s3:// prefix with something below it."""
    hyperparameters = job.desired.get("origin", {}).get("hyperparameters", {})
    told = {member: job.request[member] for member in TOLD if member in job.request}
    return Task(
        id=compilation.task_id(job),
        command=COMMAND,
        log=log_of(job),
        environment_name=ENVIRONMENT,
        variables={"COMPILATION_JOB_NAME": job.name, "AWS_REGION": region, "AWS_DEFAULT_REGION": region},
        files={
            "input/config/compilation.json": json.dumps(told, indent=1),
            "input/config/hyperparameters.json": json.dumps(hyperparameters, indent=1),
        },
        inputs=(
            Input("model", *bucket_and_key(job.request["InputConfig"]["S3Uri"])),
            *(Input(name, *bucket_and_key(url)) for name, url in channels.items()),
        ),
        packs=True,
    )


def wanted_channels(job: Resource) -> dict[str, str]:
    """Channels of the training job that made the model, and the prefix that CompilerOptions name."""
    channels = dict(job.desired.get("origin", {}).get("channels", {}))
    prefix = calibration_prefix(job.request["OutputConfig"].get("CompilerOptions", ""))
    return channels | ({"calibration": prefix} if prefix else {})


def calibration_prefix(compiler_options: str) -> str:
    """Of ``{"calibration": "s3://…"}``; empty where there is none. What else is wrong with it the compiler says."""
    for read in (json.loads, ast.literal_eval):  # literals only: the SDK sends what str() makes of a dict
        try:
            options = read(compiler_options.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        value = options.get("calibration") if isinstance(options, Mapping) else None
        return value if isinstance(value, str) and value.startswith("s3://") else ""
    return ""


def target_name(output: Mapping[str, Any]) -> str:
    """``ml_c5``, or ``LINUX_X86_64`` of a platform."""
    platform = output.get("TargetPlatform")
    if not platform:
        return str(output.get("TargetDevice", ""))
    return "_".join(platform[part] for part in ("Os", "Arch", "Accelerator") if platform.get(part))


def artifact_key(request: Mapping[str, Any], name: str = "") -> tuple[str, str]:
    """(bucket, key) of the artifact, ``<S3OutputLocation>/<model>-<target>.tar.gz``, or of ``name`` beside it."""
    bucket, prefix = bucket_and_key(request["OutputConfig"]["S3OutputLocation"])
    folder = prefix.strip("/")
    start = f"{folder}/" if folder else ""
    return bucket, start + (name or _artifact_name(request))


def artifact_url(request: Mapping[str, Any]) -> str:
    bucket, key = artifact_key(request)
    return f"s3://{bucket}/{key}"


def _artifact_name(request: Mapping[str, Any]) -> str:
    model = request["InputConfig"]["S3Uri"].rstrip("/").rpartition("/")[2]
    stem = next((model.removesuffix(end) for end in ARCHIVES if model.endswith(end)), model)
    return f"{stem}-{target_name(request['OutputConfig'])}.tar.gz"
