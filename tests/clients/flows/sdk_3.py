"""Resources of SDK 3 (sagemaker-core) beside ModelTrainer. Arguments: the file for the answers, the photos' folder."""

import json
import sys
from pathlib import Path

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, Tag, TrainingJob
from sagemaker.core.shapes import (
    AlgorithmSpecification,
    Channel,
    CheckpointConfig,
    ContainerDefinition,
    DataSource,
    DesiredWeightAndCapacity,
    OutputDataConfig,
    ProductionVariant,
    ResourceConfig,
    S3DataSource,
    StoppingCondition,
)
from sagemaker.serve import ModelBuilder
from steps import step, until

data = Path(sys.argv[2])
session = Session()
IMAGE = image_uris.retrieve("image-classification", session.boto_region_name)
PHOTO = (data / "test.jpg").read_bytes()
SMALL = {"num_layers": 20, "image_shape": "3,28,28", "num_classes": 2, "num_training_samples": 16, "mini_batch_size": 8}


def job(name, more=(), hosts=1, kept=None, **hyperparameters):
    bucket = session.default_bucket()

    def channel(kind, key, content_type="application/x-recordio"):
        source = S3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{bucket}/{key}")
        return Channel(channel_name=kind, content_type=content_type, data_source=DataSource(s3_data_source=source))

    return TrainingJob.create(
        training_job_name=name,
        role_arn=get_execution_role(),
        algorithm_specification=AlgorithmSpecification(training_image=IMAGE, training_input_mode="File"),
        hyper_parameters={k: str(v) for k, v in (SMALL | {"epochs": 2} | hyperparameters).items()},
        input_data_config=[channel(kind, f"sdk3/{kind}.rec") for kind in ("train", "validation")]
        + [channel(kind, key, "application/x-sagemaker-model") for kind, key in more],
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/sdk3/output"),
        resource_config=ResourceConfig(instance_type="ml.p3.2xlarge", instance_count=hosts, volume_size_in_gb=50),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
        tags=[Tag(key="team", value="photos")],
        **({"checkpoint_config": CheckpointConfig(s3_uri=kept)} if kept else {}),
    )


def over(found):
    def settled():
        found.refresh()
        return found.training_job_status in ("Completed", "Failed", "Stopped")

    until(settled)
    return found


@step
def upload():
    return [session.upload_data(str(data / name), key_prefix="sdk3") for name in ("train.rec", "validation.rec")]


@step
def train():
    global trained
    trained = over(job("sdk3-small"))
    return [trained.training_job_status, trained.secondary_status, trained.model_artifacts.s3_model_artifacts]


@step
def get_and_refresh():
    found = TrainingJob.get("sdk3-small")
    found.refresh()
    return {
        "status": found.training_job_status,
        "metrics": {m.metric_name: m.value for m in found.final_metric_data_list},
        "transitions": [t.status for t in found.secondary_status_transitions],
    }


@step
def wait_prints_the_logs():
    TrainingJob.get("sdk3-small").wait(logs=True)


@step
def get_all():
    return {
        "by_name": [j.training_job_name for j in TrainingJob.get_all(name_contains="sdk3-sm")],
        "completed": [j.training_job_name for j in TrainingJob.get_all(status_equals="Completed")],
        "failed": [j.training_job_name for j in TrainingJob.get_all(status_equals="Failed")],
    }


@step
def a_failed_job():
    job("sdk3-wrong", num_layers=19).wait()


@step
def two_hosts_with_checkpoints():
    kept = f"s3://{session.default_bucket()}/sdk3/kept"
    made = over(job("sdk3-two", hosts=2, kept=kept, mini_batch_size=4))
    streams = boto3.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="sdk3-two/"
    )["logStreams"]
    return [made.training_job_status, made.checkpoint_config.s3_uri.rpartition("/")[2], len(streams)]


@step
def incremental_training():
    key = trained.model_artifacts.s3_model_artifacts.split("/", 3)[3]
    return over(job("sdk3-more", more=[("model", key)])).training_job_status


@step
def stop():
    started = job("sdk3-endless", epochs=100_000)
    started.stop()
    return over(started).training_job_status


@step
def a_job_that_is_not_there():
    TrainingJob.get("never-made")


@step
def delete_a_job():
    found = TrainingJob.get("sdk3-endless")
    found.delete()
    found.wait_for_delete(poll=1)
    return [j.training_job_name for j in TrainingJob.get_all(name_contains="endless")]


@step
def deploy():
    global endpoint, config
    container = ContainerDefinition(image=IMAGE, model_data_url=trained.model_artifacts.s3_model_artifacts)
    model = Model.create(model_name="sdk3-m", primary_container=container, execution_role_arn=get_execution_role())
    variant = ProductionVariant(
        variant_name="AllTraffic",
        model_name=model.model_name,
        initial_instance_count=1,
        instance_type="ml.m5.large",
        initial_variant_weight=1.0,
    )
    config = EndpointConfig.create(endpoint_config_name="sdk3-e", production_variants=[variant])
    EndpointConfig.create(endpoint_config_name="sdk3-f", production_variants=[variant])
    endpoint = Endpoint.create(endpoint_name="sdk3-e", endpoint_config_name="sdk3-e")
    endpoint.wait_for_status("InService")
    answer = endpoint.invoke(body=PHOTO, content_type="application/x-image")
    return json.loads(answer.body.read())


@step
def get_all_that_serves():
    return {
        "endpoints": [e.endpoint_name for e in Endpoint.get_all(name_contains="sdk3")],
        "in_service": [e.endpoint_name for e in Endpoint.get_all(status_equals="InService")],
        "models": [m.model_name for m in Model.get_all(name_contains="sdk3")],
        "configs": sorted(c.endpoint_config_name for c in EndpointConfig.get_all(name_contains="sdk3")),
    }


@step
def update():
    endpoint.refresh()
    endpoint.endpoint_config_name = "sdk3-f"
    endpoint.update()
    endpoint.wait_for_status("InService")
    endpoint.refresh()
    endpoint.update_weights_and_capacities(
        desired_weights_and_capacities=[DesiredWeightAndCapacity(variant_name="AllTraffic", desired_weight=2.0)]
    )
    endpoint.wait_for_status("InService")
    return [endpoint.endpoint_config_name, endpoint.production_variants[0].current_weight]


@step
def model_builder():
    """From an image and an artifact: no code of the user's is packed."""
    builder = ModelBuilder(
        image_uri=IMAGE,
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=get_execution_role(),
        sagemaker_session=session,
    )
    model = builder.build(model_name="built")
    built = builder.deploy(endpoint_name="built", instance_type="ml.m5.large", initial_instance_count=1, wait=False)
    built.wait_for_status("InService")
    answer = json.loads(built.invoke(body=PHOTO, content_type="application/x-image").body.read())
    built.refresh()
    built.delete()
    EndpointConfig.get(built.endpoint_config_name).delete()
    model.delete()
    return answer


@step
def what_is_no_photo_is_refused():
    endpoint.invoke(body=b"no photo", content_type="application/x-image")


@step
def delete():
    endpoint.delete()
    endpoint.wait_for_delete(poll=1)
    for name in ("sdk3-e", "sdk3-f"):
        EndpointConfig.get(name).delete()
    Model.get("sdk3-m").delete()
    return [len(list(kind.get_all(name_contains="sdk3"))) for kind in (Endpoint, EndpointConfig, Model)]


@step
def an_endpoint_that_is_gone():
    endpoint.invoke(body=PHOTO, content_type="application/x-image")


@step
def a_model_that_is_gone():
    Model.get("sdk3-m")


@step
def tags():
    arn = TrainingJob.get("sdk3-small").training_job_arn
    Tag.add_tags(arn, [{"key": "kept", "value": "yes"}])
    by_boto = boto3.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    return {"all": {t.key: t.value for t in Tag.get_all(arn)}, "boto3": len(by_boto)}
