"""Whether a request can be honoured, checked before it is accepted: what is wrong is said at once, not by a failed job.

Every fault is Invalid with a text that names the value and the remedy, in AWS's words where AWS has some. What would
silently change a request's meaning is refused; what does no harm here is accepted and echoed (VpcConfig, tags, spot
training, debugger and profiler settings, network isolation).
"""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.contract.images import Image
from darkroom.contract.metrics import may_never_end
from darkroom.control import channel_checks, checkpoints
from darkroom.control.locations import bucket_and_key
from darkroom.errors import Invalid, NotFound
from darkroom.objects.base import ObjectStore

GPU_TYPE = re.compile(r"^ml\.[pg]\d")
MOST_HOSTS = 16
NEEDED = ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition")


def check_members(request: Mapping[str, Any]) -> None:
    """CreateTrainingJob as jobs with an image need it; serverless ones and marketplace algorithms are not offered."""
    missing = [member for member in NEEDED if member not in request]
    if missing:
        raise Invalid(f"{', '.join(missing)} must be given: only jobs with a training image are offered here")
    if "TrainingImage" not in request["AlgorithmSpecification"]:
        raise Invalid("AlgorithmSpecification.TrainingImage must be given: AlgorithmName is not offered here")


def check_training(request: Mapping[str, Any], image: Image, objects: ObjectStore, region: str, strict: bool) -> None:
    """CreateTrainingJob. Raises Invalid."""
    algorithm = request["AlgorithmSpecification"]
    if request["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
        raise Invalid("OutputDataConfig.CompressionType NONE is not offered here: leave it out for a model.tar.gz")
    if not image.train and not algorithm.get("ContainerEntrypoint"):
        raise Invalid(f"image {algorithm.get('TrainingImage')!r} serves models; it does not train")
    builtin = not algorithm.get("ContainerEntrypoint")
    _check_resources(request.get("ResourceConfig", {}), image, strict)
    if checkpoints.kept(request):
        _check_output(request["CheckpointConfig"]["S3Uri"], objects, "CheckpointConfig.S3Uri")
    if strict:
        _check_patience(request)
    _check_metrics(algorithm.get("MetricDefinitions", ()))
    _check_output(request["OutputDataConfig"]["S3OutputPath"], objects)
    channels = request.get("InputDataConfig", ())
    channel_checks.check_names([channel["ChannelName"] for channel in channels], image)
    asked = channel_checks.Asked(
        algorithm["TrainingInputMode"],
        request["ResourceConfig"].get("InstanceCount", 1),
        region,
        request["RoleArn"],
        builtin=builtin and bool(image.channels),
        strict=strict,
    )
    for channel in channels:
        channel_checks.check(channel, asked, objects)


def check_compilation(request: Mapping[str, Any], objects: ObjectStore) -> None:
    """CreateCompilationJob, but for what only the compiler can know. Raises Invalid."""
    if "InputConfig" not in request:
        raise Invalid("InputConfig must be given: model packages are not offered here, name a model.tar.gz")
    output = request["OutputConfig"]
    if ("TargetDevice" in output) == ("TargetPlatform" in output):
        raise Invalid("OutputConfig needs either TargetDevice or TargetPlatform: give one of the two")
    _check_output(output["S3OutputLocation"], objects, "S3OutputLocation")
    url = request["InputConfig"]["S3Uri"]
    bucket, key = bucket_and_key(url)
    try:
        objects.get(bucket, key)
    except NotFound:
        raise Invalid(
            f"InputConfiguration: no model at S3Uri {url!r}; expected the s3:// URL of a model.tar.gz, such as "
            "ModelArtifacts.S3ModelArtifacts of a training job that has ended"
        ) from None


def check_container(container: Mapping[str, Any], image: Image, objects: ObjectStore) -> None:
    """One container of CreateModel. Raises Invalid."""
    if not image.serve:
        raise Invalid(f"image {container['Image']!r} trains; it does not serve models")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise Invalid("Mode MultiModel is not offered here: make one model for each model.tar.gz")
    url = model_data_url(container)
    if not url:
        return
    bucket, key = bucket_and_key(url)
    if not key.endswith(".tar.gz"):
        raise Invalid(f"ModelDataUrl {url!r} must name a gzip-compressed tar archive: a key that ends in .tar.gz")
    try:
        objects.get(bucket, key)
    except NotFound:
        raise Invalid(f"Could not find model data at {url}. Train first, or correct the URL.") from None


def containers(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The container of a model: PrimaryContainer, or Containers with one member. Raises Invalid for a pipeline."""
    given = [request["PrimaryContainer"]] if "PrimaryContainer" in request else list(request.get("Containers", ()))
    if not given:
        raise Invalid("Either PrimaryContainer or Containers is needed: name the image that serves the model")
    if len(given) > 1:
        raise Invalid(f"Inference pipelines are not offered here: Containers has {len(given)} members, one is possible")
    if "Image" not in given[0]:
        raise Invalid("The container needs Image; model packages and hubs are not offered here")
    return given


def model_data_url(container: Mapping[str, Any]) -> str:
    """ModelDataUrl, or the same said as ModelDataSource. Raises Invalid for an uncompressed source."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is None:
        return str(container.get("ModelDataUrl", ""))
    if source.get("CompressionType") != "Gzip" or source.get("S3DataType") != "S3Object":
        raise Invalid("ModelDataSource must be an S3Object with CompressionType Gzip: a model.tar.gz")
    return str(source["S3Uri"])


def check_endpoint_config(request: Mapping[str, Any]) -> None:
    """CreateEndpointConfig, but for its models. Raises Invalid."""
    if request.get("DataCaptureConfig", {}).get("EnableCapture"):
        raise Invalid("DataCaptureConfig is not offered here: leave it out or set EnableCapture to false")
    for member in ("AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants"):
        if request.get(member):
            raise Invalid(f"{member} is not offered here: leave it out for a real-time endpoint")
    names = [variant["VariantName"] for variant in request["ProductionVariants"]]
    if len(set(names)) < len(names):
        raise Invalid(f"VariantName must be unique within an endpoint configuration; given are: {', '.join(names)}")
    for variant in request["ProductionVariants"]:
        if variant.get("ServerlessConfig"):
            raise Invalid("ServerlessConfig is not offered here: give InstanceType and InitialInstanceCount")
        if "ModelName" not in variant:
            raise Invalid(
                f"variant {variant['VariantName']} needs ModelName; inference components are not offered here"
            )


def _check_resources(resources: Mapping[str, Any], image: Image, strict: bool) -> None:
    if resources.get("InstanceGroups"):
        raise Invalid("ResourceConfig.InstanceGroups is not offered here: give InstanceType and InstanceCount")
    count = resources.get("InstanceCount", 1)
    if count < 1:
        raise Invalid(f"InstanceCount {count} is too few: a job needs at least one host")
    if count > MOST_HOSTS:
        raise Invalid(
            f"InstanceCount {count} is too many: all hosts of a job run on this machine, at most {MOST_HOSTS}"
        )
    kind = resources.get("InstanceType", "")
    if strict and image.gpu_only and not GPU_TYPE.match(kind):
        raise Invalid(
            f"Instance type {kind} is not supported by algorithm {image.repository}; only GPU instances are supported."
        )


def _check_patience(request: Mapping[str, Any]) -> None:
    limits, spot = request["StoppingCondition"], request.get("EnableManagedSpotTraining", False)
    wait = limits.get("MaxWaitTimeInSeconds")
    if spot and (wait is None or wait < limits.get("MaxRuntimeInSeconds", 0)):
        raise Invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds: "
            "managed spot training waits and runs within it"
        )
    if wait is not None and not spot:
        raise Invalid(
            "MaxWaitTimeInSeconds is for managed spot training: set EnableManagedSpotTraining, or leave it out"
        )


def _check_metrics(definitions: Any) -> None:
    for definition in definitions:
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error as error:
            raise Invalid(
                f"Regex {definition['Regex']!r} of metric {definition['Name']!r} is not valid: {error}"
            ) from None
        if may_never_end(definition["Regex"]):
            raise Invalid(
                f"Regex {definition['Regex']!r} of metric {definition['Name']!r} repeats a repetition, and may never "
                "end on a line it does not match: write it with one repetition, like (\\S+)"
            )
        if not groups:
            raise Invalid(
                f"Regex {definition['Regex']!r} of metric {definition['Name']!r} has no group: "
                "put the part that is the value in parentheses"
            )


def _check_output(path: str, objects: ObjectStore, member: str = "S3OutputPath") -> None:
    bucket, _ = bucket_and_key(path)
    try:
        objects.bucket(bucket)
    except NotFound:
        raise Invalid(
            f"The bucket {bucket!r} of {member} {path!r} does not exist: create it, or name another"
        ) from None
