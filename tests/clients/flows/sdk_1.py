"""What notebooks of SDK 1.72.1 do beside the published ones. Arguments: file for the answers, folder of photos."""

import json
import sys
from pathlib import Path

import boto3
import sagemaker
from sagemaker.amazon.amazon_estimator import get_image_uri
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.s3 import S3Downloader, S3Uploader
from steps import step, until

data = Path(sys.argv[2])
session = sagemaker.Session()
client = boto3.client("sagemaker")
ROLE = "AmazonSageMaker-ExecutionRole-darkroom"
PHOTO = (data / "test.jpg").read_bytes()
SMALL = {"num_layers": 20, "image_shape": "3,28,28", "num_classes": 2, "num_training_samples": 16, "mini_batch_size": 8}


def estimator(role=ROLE, more=None, **hyperparameters):
    made = sagemaker.estimator.Estimator(
        get_image_uri("us-east-1", "image-classification"),
        role,
        **({"train_instance_count": 1} | (more or {})),
        train_instance_type="ml.p2.xlarge",
        train_max_run=3600,
        output_path=f"s3://{session.default_bucket()}/sdk1/output",
        sagemaker_session=session,
        tags=[{"Key": "team", "Value": "photos"}],
    )
    made.set_hyperparameters(**(SMALL | {"epochs": 2, "learning_rate": 0.05} | hyperparameters))
    return made


def channels(**more):
    keys = {"train": "sdk1/data/train.rec", "validation": "sdk1/data/validation.rec"}
    bucket = session.default_bucket()
    return {
        name: sagemaker.session.s3_input(f"s3://{bucket}/{key}", content_type="application/x-recordio")
        for name, key in keys.items()
    } | more


def in_service(name):
    def settled():
        status = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
        return status if status not in ("Creating", "Updating") else None

    return until(settled)


@step
def role_of_this_notebook():
    return sagemaker.get_execution_role()


@step
def the_default_bucket_is_made_once():
    return [session.default_bucket(), sagemaker.Session().default_bucket()]


@step
def upload():
    return [session.upload_data(str(data / name), key_prefix="sdk1/data") for name in ("train.rec", "validation.rec")]


@step
def a_folder_goes_up_and_comes_back():
    bucket = session.default_bucket()
    session.upload_data(str(data / "classes"), bucket, "sdk1/classes")
    listed = session.list_s3_files(bucket, "sdk1/classes")
    session.download_data("back", bucket, "sdk1/classes/car")
    S3Uploader.upload(str(data / "test.jpg"), f"s3://{bucket}/sdk1/one", session=session)
    S3Uploader.upload_string_as_file_body("hello", f"s3://{bucket}/sdk1/one/words.txt", session=session)
    return {
        "listed": listed,
        "back": sorted(path.name for path in Path("back").iterdir()),
        "by_downloader": S3Downloader.list(f"s3://{bucket}/sdk1/one", session=session),
        "words": S3Downloader.read_file(f"s3://{bucket}/sdk1/one/words.txt", session=session),
    }


@step
def train_without_waiting():
    global trained
    trained = estimator()
    trained.fit(channels(), wait=False)
    trained.latest_training_job.wait(logs=False)
    found = trained.latest_training_job.describe()
    return {
        "status": found["TrainingJobStatus"],
        "role": found["RoleArn"],
        "name": trained.latest_training_job.name,
        "mode": found["AlgorithmSpecification"]["TrainingInputMode"],
    }


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
    return {
        "hyperparameters": attached.hyperparameters(),
        "model_data": attached.model_data,
        "tags": attached.tags,
        "listed_tags": client.list_tags(ResourceArn=arn)["Tags"],
    }


@step
def deploy_an_attached_estimator():
    global predictor
    predictor = attached.deploy(1, "ml.m4.xlarge", wait=False)
    in_service(predictor.endpoint)
    predictor.content_type = "application/x-image"
    return {"endpoint": predictor.endpoint, "probabilities": json.loads(predictor.predict(bytearray(PHOTO)))}


@step
def initial_args_ask_for_another_answer():
    return json.loads(predictor.predict(PHOTO, initial_args={"Accept": "application/jsonlines;verbose"}))


@step
def what_is_no_photo_is_refused():
    predictor.predict(b"no photo")


@step
def update_in_place():
    before = client.describe_endpoint(EndpointName=predictor.endpoint)["EndpointConfigName"]
    attached.deploy(
        1,
        "ml.c4.xlarge",
        endpoint_name=predictor.endpoint,
        model_name=predictor.endpoint[:40] + "-b",  # the configuration gets the model's name
        update_endpoint=True,
        wait=False,
    )
    status = in_service(predictor.endpoint)
    after = client.describe_endpoint(EndpointName=predictor.endpoint)["EndpointConfigName"]
    return {"status": status, "changed": before != after, "probabilities": json.loads(predictor.predict(PHOTO))}


@step
def delete_and_deploy_again_under_the_same_name():
    predictor.delete_endpoint()
    again = attached.deploy(1, "ml.m4.xlarge", endpoint_name=predictor.endpoint, wait=False)
    in_service(again.endpoint)
    again.content_type = "application/x-image"
    found = json.loads(again.predict(PHOTO))
    again.delete_model()
    again.delete_endpoint()
    return found


@step
def an_endpoint_that_is_gone():
    client.get_waiter("endpoint_deleted").wait(
        EndpointName=predictor.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    predictor.predict(PHOTO)


@step
def a_model_that_is_gone():
    client.describe_model(ModelName=predictor.endpoint)


@step
def a_failed_job():
    try:
        estimator(num_layers=19).fit(channels(), logs=False)
    except UnexpectedStatusException as error:
        return {"text": str(error), "actual": error.actual_status}


@step
def a_batch_larger_than_the_photos():
    estimator(mini_batch_size=64).fit(channels(), logs=False)


@step
def incremental_training():
    model = sagemaker.session.s3_input(trained.model_data, content_type="application/x-sagemaker-model")
    made = estimator()
    made.fit(channels(model=model), logs=False)
    return session.sagemaker_client.describe_training_job(TrainingJobName=made.latest_training_job.name)[
        "TrainingJobStatus"
    ]


@step
def nothing_under_the_prefix():
    estimator().fit({"train": "s3://" + session.default_bucket() + "/nowhere/"}, wait=False)


@step
def the_same_job_name_twice():
    estimator().fit(channels(), job_name=trained.latest_training_job.name, wait=False)


@step
def two_hosts_with_checkpoints():
    kept = f"s3://{session.default_bucket()}/sdk1/kept"
    spot = {"train_use_spot_instances": True, "train_max_wait": 7200}
    made = estimator(more={"train_instance_count": 2, "checkpoint_s3_uri": kept} | spot, mini_batch_size=4)
    made.fit(channels(), logs=True)
    return [name.removeprefix(f"{kept}/") for name in S3Downloader.list(kept)]


@step
def stop():
    started = estimator(epochs=100_000)
    started.fit(channels(), wait=False)
    started.latest_training_job.stop()
    until(
        lambda: started.latest_training_job.describe()["TrainingJobStatus"] != "Stopping"
    )  # wait() takes it for an end
    return started.latest_training_job.describe()["TrainingJobStatus"]


@step
def stop_what_is_over():
    trained.latest_training_job.stop()
