"""SDK 3 has no Estimator: ModelTrainer trains, sagemaker-core's resources deploy."""

import re
import shutil
from pathlib import Path

import pytest

from darkroom.testing.live_server import LiveServer
from tests.clients.environments import python_of
from tests.stories import notebooks, photos

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]

UPLOAD = """
from sagemaker.core.helper.session_helper import Session, get_execution_role
session = Session()
role = get_execution_role()
bucket = session.default_bucket()
train = session.upload_data("train.rec", bucket=bucket, key_prefix="sdk3/train")
validation = session.upload_data("validation.rec", bucket=bucket, key_prefix="sdk3/validation")
print(role, train, validation)
"""
TRAIN = """
from sagemaker.core import image_uris
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData
trainer = ModelTrainer(
    training_image=image_uris.retrieve("image-classification", session.boto_region_name),
    role=role,
    base_job_name="sdk3-photos",
    compute=Compute(instance_type="ml.p3.2xlarge", instance_count=1, volume_size_in_gb=50),
    hyperparameters={"num_layers": 20, "image_shape": "3,32,32", "num_classes": 3, "num_training_samples": 96,
                     "mini_batch_size": 16, "epochs": 2, "learning_rate": 0.05},
    input_data_config=[
        InputData(channel_name=name, data_source=uri.rpartition("/")[0] + "/", content_type="application/x-recordio")
        for name, uri in {"train": train, "validation": validation}.items()
    ],
)
trainer.train(wait=True, logs=True)
job = trainer._latest_training_job
print("STATUS", job.training_job_status, job.model_artifacts.s3_model_artifacts)
print("METRICS", {found.metric_name: found.value for found in job.final_metric_data_list})
"""
DEPLOY = """
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
container = ContainerDefinition(image=trainer.training_image, model_data_url=job.model_artifacts.s3_model_artifacts)
model = Model.create(model_name="sdk3-photos", primary_container=container, execution_role_arn=role)
variant = ProductionVariant(variant_name="AllTraffic", model_name="sdk3-photos", initial_instance_count=1,
                            instance_type="ml.m5.large", initial_variant_weight=1.0)
config = EndpointConfig.create(endpoint_config_name="sdk3-photos", production_variants=[variant])
endpoint = Endpoint.create(endpoint_name="sdk3-photos", endpoint_config_name="sdk3-photos")
endpoint.wait_for_status("InService")
"""
PREDICT = """
import json
with open("test.jpg", "rb") as photo:
    answer = endpoint.invoke(body=photo.read(), content_type="application/x-image")
print("PREDICTED", json.loads(answer.body.read()))
"""
DELETE = """
endpoint.delete()
config.delete()
model.delete()
"""


def test_model_trainer_trains_and_resources_deploy(server: LiveServer, tmp_path: Path) -> None:
    names = photos.classes(3)
    photos.pack(tmp_path, names, "train.rec", "validation.rec")
    shutil.copy(photos.unseen(names[0]), tmp_path / "test.jpg")
    story = [UPLOAD, TRAIN, DEPLOY, PREDICT, DELETE]
    outputs = notebooks.run(story, python_of("sdk3"), tmp_path, server.environment(sdk=3), seconds=600)
    log = "\n".join(outputs)
    assert re.search(r"STATUS Completed s3://\S+/model\.tar\.gz", log), log[-3000:]
    assert re.search(r"METRICS .*'validation:accuracy': [01]\.\d+", log), log[-3000:]
    predicted = re.search(r"PREDICTED \[([^\]]+)\]", log)
    assert predicted
    assert sum(map(float, predicted[1].split(","))) == pytest.approx(1, abs=1e-5)
