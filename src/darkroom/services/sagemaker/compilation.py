"""Compilation jobs in SageMaker's words."""

from typing import Any

from darkroom.control.plane import Control
from darkroom.control.views import CompilationJob
from darkroom.services.sagemaker.listing import listed, present, query_of
from darkroom.services.sagemaker.operations import operation, tags_of
from darkroom.wire.messages import Call

REGISTRY = "785573368785.dkr.ecr.{region}.amazonaws.com/"
IMAGES = {  # by framework, as SageMaker names them; SDK 2 makes its model of InferenceImage
    "MXNET": "sagemaker-inference-mxnet:1.8-cpu-py3",
    "PYTORCH": "sagemaker-inference-pytorch:1.8-cpu-py3",
    "TENSORFLOW": "sagemaker-inference-tensorflow:1.15.3-cpu-py3",
}
OTHER_IMAGE = "image-classification-neo:latest"


@operation
def create_compilation_job(control: Control, call: Call) -> dict[str, Any]:
    job = control.create_compilation_job(call.params, tags_of(call.params), call.caller.region)
    return {"CompilationJobArn": job.arn}


@operation
def describe_compilation_job(control: Control, call: Call) -> dict[str, Any]:
    job = control.compilation_job(call.params["CompilationJobName"])
    image = IMAGES.get(job.request["InputConfig"].get("Framework", ""), OTHER_IMAGE)
    return {
        **job.request,
        "CompilationJobArn": job.arn,
        "CompilationJobStatus": job.status,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "FailureReason": job.reason,  # clients read it without asking whether it is there
        "ModelArtifacts": {"S3ModelArtifacts": job.artifact_url},
        "InferenceImage": REGISTRY.format(region=call.caller.region) + image,
        **({"ModelDigests": {"ArtifactDigest": job.digest}} if job.digest else {}),
        **present(CompilationStartTime=job.started, CompilationEndTime=job.ended),
    }


@operation
def stop_compilation_job(control: Control, call: Call) -> None:
    control.stop_compilation_job(call.params["CompilationJobName"])


@operation
def delete_compilation_job(control: Control, call: Call) -> None:
    control.delete_compilation_job(call.params["CompilationJobName"])


@operation
def list_compilation_jobs(control: Control, call: Call) -> dict[str, Any]:
    page = control.compilation_jobs(query_of(call.params, descending=False))
    return listed(page, "CompilationJobSummaries", _summary)


def _summary(job: CompilationJob) -> dict[str, Any]:
    output = job.request["OutputConfig"]
    platform = output.get("TargetPlatform", {})
    return present(
        CompilationJobName=job.name,
        CompilationJobArn=job.arn,
        CreationTime=job.created,
        CompilationStartTime=job.started,
        CompilationEndTime=job.ended,
        CompilationTargetDevice=output.get("TargetDevice"),
        CompilationTargetPlatformOs=platform.get("Os"),
        CompilationTargetPlatformArch=platform.get("Arch"),
        CompilationTargetPlatformAccelerator=platform.get("Accelerator"),
        LastModifiedTime=job.modified,
        CompilationJobStatus=job.status,
    )
