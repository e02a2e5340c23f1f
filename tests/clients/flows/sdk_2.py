"""What notebooks of SDK 2 do beside the published ones. Arguments: the file for the answers, the photos' folder."""

import json
import sys
from pathlib import Path

import boto3
import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import BytesDeserializer, JSONDeserializer
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.inputs import TrainingInput
from sagemaker.predictor import Predictor
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import DataSerializer, IdentitySerializer
from sagemaker.session import production_variant
from steps import step, until

data = Path(sys.argv[2])
session = sagemaker.Session()
client = boto3.client("sagemaker")
ROLE = "AmazonSageMaker-ExecutionRole-darkroom"
IMAGE = image_uris.retrieve("image-classification", session.boto_region_name)
PHOTO = (data / "test.jpg").read_bytes()
SMALL = {"num_layers": 20, "image_shape": "3,28,28", "num_classes": 2, "num_training_samples": 16, "mini_batch_size": 8}


def estimator(more=None, **hyperparameters):
    made = sagemaker.estimator.Estimator(
        IMAGE,
        ROLE,
        **({"instance_count": 1} | (more or {})),
        instance_type="ml.p3.2xlarge",
        volume_size=50,
        max_run=3600,
        output_path=f"s3://{session.default_bucket()}/sdk2/output",
        tags=[{"Key": "team", "Value": "photos"}],
        sagemaker_session=session,
    )
    made.set_hyperparameters(**(SMALL | {"epochs": 2, "learning_rate": 0.05} | hyperparameters))
    return made


def channels(**more):
    keys = {"train": "sdk2/data/train.rec", "validation": "sdk2/data/validation.rec"}
    bucket = session.default_bucket()
    return {
        name: TrainingInput(f"s3://{bucket}/{key}", content_type="application/x-recordio") for name, key in keys.items()
    } | more


def in_service(name):
    def settled():
        status = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
        return status if status not in ("Creating", "Updating") else None

    return until(settled)


def over(name):
    def settled():
        status = client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
        return status if status not in ("InProgress", "Stopping") else None

    return until(settled)


@step
def role_of_this_notebook():
    return sagemaker.get_execution_role()


@step
def the_default_bucket_is_made_once():
    return [session.default_bucket(), sagemaker.Session().default_bucket()]


@step
def a_default_bucket_of_another_name():
    other = sagemaker.Session(default_bucket="photos-of-sdk-2")
    return [other.default_bucket(), sagemaker.Session(default_bucket="photos-of-sdk-2").default_bucket()]


@step
def upload():
    return [session.upload_data(str(data / name), key_prefix="sdk2/data") for name in ("train.rec", "validation.rec")]


@step
def a_folder_goes_up_and_comes_back():
    bucket = session.default_bucket()
    session.upload_data(str(data / "classes"), bucket, "sdk2/classes")
    S3Uploader.upload(str(data / "test.jpg"), f"s3://{bucket}/sdk2/one")
    S3Uploader.upload_string_as_file_body("hello", f"s3://{bucket}/sdk2/one/words.txt")
    S3Downloader.download(f"s3://{bucket}/sdk2/one", "one")
    return {
        "listed": session.list_s3_files(bucket, "sdk2/classes"),
        "back": sorted(Path(path).name for path in session.download_data("back", bucket, "sdk2/classes/car")),
        "by_downloader": S3Downloader.list(f"s3://{bucket}/sdk2/one"),
        "downloaded": sorted(path.name for path in Path("one").iterdir()),
        "words": S3Downloader.read_file(f"s3://{bucket}/sdk2/one/words.txt"),
        "read_by_session": session.read_s3_file(bucket, "sdk2/one/words.txt"),
    }


@step
def train_without_waiting():
    global trained
    trained = estimator(
        more={
            "environment": {"TEAM": "photos"},
            "use_spot_instances": True,
            "max_wait": 7200,
            "max_retry_attempts": 2,
            "enable_network_isolation": True,
        }
    )
    trained.fit(channels(), wait=False)
    status = over(trained.latest_training_job.name)
    trained.latest_training_job.wait(logs="None")
    found = trained.latest_training_job.describe()
    members = ("ProfilerConfig", "DebugHookConfig", "EnableManagedSpotTraining", "RetryStrategy", "Environment")
    return {"status": status, "role": found["RoleArn"]} | {name: found.get(name) for name in members}


@step
def two_hosts_with_checkpoints():
    kept = f"s3://{session.default_bucket()}/sdk2/kept"
    spot = {"use_spot_instances": True, "max_wait": 7200}
    made = estimator(more={"instance_count": 2, "checkpoint_s3_uri": kept} | spot, mini_batch_size=4)
    made.fit(channels(), logs="All")
    return [name.removeprefix(f"{kept}/") for name in S3Downloader.list(kept)]


@step
def logs_of_a_job_that_is_over():
    session.logs_for_job(trained.latest_training_job.name, wait=True)


@step
def metrics_as_a_table():
    table = trained.training_job_analytics.dataframe()
    return table[["metric_name", "value"]].values.tolist()


@step
def attach():
    global attached
    attached = sagemaker.estimator.Estimator.attach(trained.latest_training_job.name, session)
    arn = attached.latest_training_job.describe()["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "kept", "Value": "yes"}])
    return {
        "hyperparameters": attached.hyperparameters(),
        "model_data": attached.model_data,
        "listed_tags": session.list_tags(arn),
    }


@step
def deploy_an_attached_estimator():
    global predictor
    predictor = attached.deploy(1, "ml.m5.xlarge", serializer=IdentitySerializer("application/x-image"), wait=False)
    in_service(predictor.endpoint_name)
    return json.loads(predictor.predict(PHOTO))


@step
def serializers_of_every_kind():
    named = Predictor(predictor.endpoint_name, session, DataSerializer("image/jpeg"), JSONDeserializer())
    raw = Predictor(predictor.endpoint_name, session, IdentitySerializer("application/x-image"), BytesDeserializer())
    return {
        "json": named.predict(PHOTO),
        "initial_args": json.loads(raw.predict(PHOTO, initial_args={"Accept": "application/jsonlines;verbose"})),
        "content_type_given_by_initial_args": json.loads(raw.predict(PHOTO, {"ContentType": "image/jpeg"})),
    }


@step
def what_is_no_photo_is_refused():
    predictor.predict(b"no photo")


@step
def bytes_without_a_type_are_looked_at():
    return json.loads(Predictor(predictor.endpoint_name, session).predict(PHOTO))


@step
def delete_and_deploy_again_under_the_same_name():
    global again
    name = predictor.endpoint_name
    predictor.delete_model()
    predictor.delete_endpoint()
    again = attached.deploy(
        1,
        "ml.m5.xlarge",
        endpoint_name=name,
        serializer=IdentitySerializer("application/x-image"),
        deserializer=JSONDeserializer(),
        wait=False,
    )
    in_service(name)
    return again.predict(PHOTO)


@step
def update_endpoint():
    before = client.describe_endpoint(EndpointName=again.endpoint_name)["EndpointConfigName"]
    again.update_endpoint(initial_instance_count=1, instance_type="ml.c5.xlarge", wait=False)
    status = in_service(again.endpoint_name)
    after = client.describe_endpoint(EndpointName=again.endpoint_name)["EndpointConfigName"]
    return {"status": status, "changed": before != after, "probabilities": again.predict(PHOTO)}


@step
def delete_all_of_it():
    again.delete_model()
    again.delete_endpoint()


@step
def two_variants_share_the_traffic():
    container = sagemaker.container_def(IMAGE, trained.model_data)
    for name in ("two-a", "two-b"):
        session.create_model(name, trained.role, container)
    variants = [
        production_variant("two-a", "ml.m5.xlarge", 1, variant_name="a", initial_weight=3),
        production_variant("two-b", "ml.m5.xlarge", 1, variant_name="b", initial_weight=1),
    ]
    session.endpoint_from_production_variants("two", variants, tags=[{"Key": "team", "Value": "photos"}], wait=False)
    status = in_service("two")
    runtime = boto3.client("sagemaker-runtime")

    def answered_by(**more):
        asked = {"EndpointName": "two", "Body": PHOTO, "ContentType": "application/x-image"} | more
        return runtime.invoke_endpoint(**asked)["InvokedProductionVariant"]

    both = sorted({answered_by() for _ in range(40)})
    client.update_endpoint_weights_and_capacities(
        EndpointName="two", DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}]
    )
    in_service("two")
    after = sorted({answered_by() for _ in range(20)})
    targeted = answered_by(TargetVariant="a")
    described = client.describe_endpoint(EndpointName="two")
    weights = {v["VariantName"]: [v["CurrentWeight"], v["DesiredWeight"]] for v in described["ProductionVariants"]}
    tags = client.list_tags(ResourceArn=described["EndpointArn"])["Tags"]
    session.delete_endpoint("two")
    session.delete_endpoint_config("two")
    for name in ("two-a", "two-b"):
        session.delete_model(name)
    return {"status": status, "both": both, "after": after, "targeted": targeted, "weights": weights, "tags": tags}


@step
def the_same_model_name_twice():
    container = sagemaker.container_def(IMAGE, trained.model_data)
    names = [session.create_model("twice", trained.role, container) for _ in range(2)]
    session.delete_model("twice")
    return names


@step
def a_failed_job():
    try:
        estimator(num_layers=19).fit(channels(), logs=False)
    except UnexpectedStatusException as error:
        return {"text": str(error), "actual": error.actual_status}


@step
def incremental_training():
    model = TrainingInput(trained.model_data, content_type="application/x-sagemaker-model", input_mode="File")
    made = estimator()
    made.fit(channels(model=model), logs=False)
    return made.latest_training_job.describe()["TrainingJobStatus"]


@step
def an_image_that_is_not_offered():
    made = estimator()
    made.image_uri = image_uris.retrieve("xgboost", session.boto_region_name, "1.5-1")
    made.fit(channels(), wait=False)


@step
def an_output_bucket_that_is_not_there():
    made = estimator()
    made.output_path = "s3://no-such-bucket-of-mine/output"
    made.fit(channels(), wait=False)


@step
def a_file_for_a_channel_that_is_not_there():
    estimator().fit({"train": TrainingInput(f"s3://{session.default_bucket()}/nowhere/")}, wait=False)


@step
def change_a_running_job_and_stop_it():
    started = estimator(more={"disable_profiler": True, "debugger_hook_config": False}, epochs=100_000)
    started.fit(channels(), wait=False)
    described = [started.latest_training_job.describe()]
    started.enable_default_profiling()
    described.append(started.latest_training_job.describe())
    started.latest_training_job.stop()
    status = over(started.latest_training_job.name)
    return {
        "status": status,
        "hook": described[0].get("DebugHookConfig"),
        "profiler": [found["ProfilerConfig"] for found in described],
    }


@step
def stop_what_is_over():
    trained.latest_training_job.stop()
