"""Training jobs in SageMaker's words. What the request said is answered as it was said, with what became of it."""

from typing import Any

from darkroom.control.plane import Control
from darkroom.control.views import TrainingJob
from darkroom.services.sagemaker.listing import listed, present, query_of
from darkroom.services.sagemaker.operations import operation, tags_of
from darkroom.wire.messages import Call, ServiceError

DEFAULT_STOPPING = {"MaxRuntimeInSeconds": 86_400}
ABSENT = {"WarmPoolStatusEquals", "TrainingPlanArnEquals"}  # filters by what no job here has
UPDATABLE = ("ProfilerConfig", "ProfilerRuleConfigurations")


@operation
def create_training_job(control: Control, call: Call) -> dict[str, Any]:
    job = control.create_training_job(call.params, tags_of(call.params), call.caller.region)
    return {"TrainingJobArn": job.arn}


@operation
def describe_training_job(control: Control, call: Call) -> dict[str, Any]:
    return described(control.training_job(call.params["TrainingJobName"]))


@operation
def stop_training_job(control: Control, call: Call) -> None:
    control.stop_training_job(call.params["TrainingJobName"])


@operation
def delete_training_job(control: Control, call: Call) -> None:
    control.delete_training_job(call.params["TrainingJobName"])


@operation
def update_training_job(control: Control, call: Call) -> dict[str, Any]:
    changes = {member: value for member, value in call.params.items() if member != "TrainingJobName"}
    for member in changes.keys() - set(UPDATABLE):
        raise ServiceError("ValidationException", f"{member} of a running job cannot be changed here.")
    return {"TrainingJobArn": control.update_training_job(call.params["TrainingJobName"], changes).arn}


@operation
def list_training_jobs(control: Control, call: Call) -> dict[str, Any]:
    if call.params.keys() & ABSENT:
        return {"TrainingJobSummaries": []}
    page = control.training_jobs(query_of(call.params, descending=False))
    return listed(page, "TrainingJobSummaries", _summary)


def described(job: TrainingJob) -> dict[str, Any]:
    """DescribeTrainingJob: the request and the status; the wire cuts it to the output shape."""
    algorithm = job.request["AlgorithmSpecification"]
    definitions = [{"Name": d.name, "Regex": d.regex} for d in job.definitions]
    return {
        "StoppingCondition": DEFAULT_STOPPING,
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **job.request,
        # The SDKs read both of these without asking whether they are there.
        "AlgorithmSpecification": {**algorithm, **({"MetricDefinitions": definitions} if definitions else {})},
        "OutputDataConfig": {"KmsKeyId": "", **job.request["OutputDataConfig"]},
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary_status,
        "SecondaryStatusTransitions": [
            present(Status=t.status, StatusMessage=t.message, StartTime=t.started, EndTime=t.ended)
            for t in job.transitions
        ],
        "ModelArtifacts": {"S3ModelArtifacts": job.model_url},
        "FinalMetricDataList": [{"MetricName": m.name, "Value": m.value, "Timestamp": m.at} for m in job.metrics],
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        **present(
            FailureReason=job.reason,
            TrainingStartTime=job.started,
            TrainingEndTime=job.ended,
            TrainingTimeInSeconds=job.training_s,
            BillableTimeInSeconds=job.training_s,
        ),
    }


def _summary(job: TrainingJob) -> dict[str, Any]:
    return present(
        TrainingJobName=job.name,
        TrainingJobArn=job.arn,
        CreationTime=job.created,
        TrainingEndTime=job.ended,
        LastModifiedTime=job.modified,
        TrainingJobStatus=job.status,
        SecondaryStatus=job.secondary_status,
    )
