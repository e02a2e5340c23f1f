"""From what users asked for to the Task that an executor runs: commands, files, variables, inputs. Pure.

The files and variables are those that SageMaker gives its containers, so that the built-in algorithm and a user's own
program find the same world here.
"""

import json
from collections.abc import Mapping
from typing import Any

from darkroom.contract.images import Image
from darkroom.contract.layout import CACHE
from darkroom.control import channels, checkpoints
from darkroom.control.locations import bucket_and_key
from darkroom.control.resources import Resource
from darkroom.control.states import training, workers
from darkroom.control.states.fleet import VariantPlan
from darkroom.executors.base import Archive, Gang, LogTarget, Task

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"


def training_log(job: Resource, host: int = 1) -> LogTarget:
    """Where one of the job's hosts writes, in every attempt."""
    return LogTarget(TRAINING_LOGS, f"{job.name}/{training.HOST}{host}-{int(job.created.timestamp())}")


def worker_log(endpoint_name: str, variant: str, task_id: str) -> LogTarget:
    return LogTarget(f"{ENDPOINT_LOGS}/{endpoint_name}", f"{variant}/{workers.instance_id(task_id)}")


def training_task(
    job: Resource, image: Image, region: str, strict: bool = False, weights: str = "", host: int = 1
) -> Task:
    """The task of one host, numbered from 1. ``strict`` reaches the job as DARKROOM_STRICT, ``weights`` (the folder of
    pretrained ones) as DARKROOM_WEIGHTS. What the first host leaves is the artifact."""
    request = job.request
    algorithm = request["AlgorithmSpecification"]
    hosts = training.hosts_of(job)
    entry = (*algorithm.get("ContainerEntrypoint", ()), *algorithm.get("ContainerArguments", ()))
    kept = checkpoints.kept(request)
    return Task(
        id=training.task_id(job, host),
        command=entry or image.train,
        log=training_log(job, host),
        environment_name=image.environment,
        variables={
            **({"DARKROOM_STRICT": "1"} if strict else {}),
            **({"DARKROOM_WEIGHTS": weights} if weights else {}),
            **({"DARKROOM_CHECKPOINTS": "1" if kept.folder == "checkpoints" else f"./{kept.folder}"} if kept else {}),
            **request.get("Environment", {}),
            "TRAINING_JOB_NAME": job.name,
            "TRAINING_JOB_ARN": job.arn,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        },
        files={
            "input/config/hyperparameters.json": _text(request.get("HyperParameters", {})),
            "input/config/inputdataconfig.json": _text(_channels(request)),
            "input/config/resourceconfig.json": _text(_hosts(request["ResourceConfig"], host, hosts)),
        },
        inputs=tuple(
            channels.input_of(channel, algorithm["TrainingInputMode"], host - 1, hosts)
            for channel in request.get("InputDataConfig", ())
        ),
        packs=host == 1,
        gang=Gang(_gang(job), hosts) if hosts > 1 else None,
        checkpoints=kept,
    )


def worker_task(
    resource: Resource, task_id: str, variant: VariantPlan, image: Image, region: str, cache: str = ""
) -> Task:
    """One serving task of an endpoint's variant. ``cache``: the folder that reaches it as DARKROOM_CACHE."""
    return Task(
        id=task_id,
        command=image.serve,
        log=worker_log(resource.name, variant.name, task_id),
        environment_name=image.environment,
        variables={
            **({CACHE: cache} if cache else {}),
            **variant.environment,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        },
        archive=Archive(*bucket_and_key(variant.model_data)) if variant.model_data else None,
        serves=True,
    )


def _channels(request: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """inputdataconfig.json."""
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    return {c["ChannelName"]: channels.described(c, mode) for c in request.get("InputDataConfig", ())}


def _hosts(resources: Mapping[str, Any], host: int, hosts: int) -> dict[str, Any]:
    """resourceconfig.json of one host. All of them are on this machine."""
    kind = resources.get("InstanceType", "local")
    names = sorted(f"{training.HOST}{number}" for number in range(1, hosts + 1))
    group = {"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": names}
    return {
        "current_host": f"{training.HOST}{host}",
        "current_instance_type": kind,
        "current_group_name": "homogeneousCluster",
        "hosts": names,
        "instance_groups": [group],
        "network_interface_name": "lo",
    }


def _gang(job: Resource) -> str:
    """Where the hosts of one attempt meet; of the next, elsewhere: the last one's connections may linger."""
    return f"{training.task_id(job)}-gang"


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True)
