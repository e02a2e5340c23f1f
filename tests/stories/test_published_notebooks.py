"""Published SageMaker notebooks run cell by cell, unmodified, with the SDK each was written for."""

import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from darkroom.testing.live_server import LiveServer
from tests.clients.environments import python_of
from tests.stories import notebooks, photos
from tests.stories.conftest import SeedFinder
from tests.stories.documents import between, cells
from tests.stories.sites import sites

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(1500)]


def test_recordio_training_both_endpoints_with_sdk_1(server: LiveServer, seed: SeedFinder, tmp_path: Path) -> None:
    """From the first cell to the last: train, deploy, predict, compile, deploy again, predict, and time both."""
    outputs = train_compile_and_compare(server, cells(seed("000")), "sdk1", 1, tmp_path)
    assert_both_answer_alike(outputs)


def test_recordio_training_both_endpoints_with_sdk_2(server: LiveServer, seed: SeedFinder, tmp_path: Path) -> None:
    """The same notebook, with the names that SDK 2 gave to SDK 1's."""
    story = [renamed(cell) for cell in cells(seed("000"))]
    outputs = train_compile_and_compare(server, story, "sdk2", 2, tmp_path)
    assert_both_answer_alike(outputs)


def train_compile_and_compare(
    server: LiveServer, found: list[str], environment: str, sdk: int, folder: Path
) -> list[str]:
    story = between(found, "%cd", "optimized_ic_classifier.delete_endpoint()")
    names = photos.classes(5)
    photos.pack(folder, names, "caltech-256-60-train.rec", "caltech-256-60-val.rec")
    with sites({"080_0001.jpg": photos.unseen(names[0])}) as proxies:
        variables = server.environment(sdk=sdk) | proxies
        return notebooks.run(story, python_of(environment), folder, variables, seconds=1200)


SDK_2_NAMES = {  # https://sagemaker.readthedocs.io/en/stable/v2.html
    r"from sagemaker\.amazon\.amazon_estimator import get_image_uri": "from sagemaker import image_uris",
    r"get_image_uri\((sess\.boto_region_name), ('[\w-]+'), repo_version=\"latest\"\)": r"image_uris.retrieve(\2, \1)",
    r"\btrain_(instance_count|instance_type|volume_size|max_run)\b": r"\1",
    r"sagemaker\.session\.s3_input": "sagemaker.inputs.TrainingInput",
    r"optimized_ic\.image\b": "optimized_ic.image_uri",
}


def renamed(cell: str) -> str:
    for old, new in SDK_2_NAMES.items():
        cell = re.sub(old, new, cell)
    return cell


def assert_both_answer_alike(outputs: list[str]) -> None:
    """The compiled model sees what the first one saw."""
    assert_trained_and_predicted(outputs)
    answers = re.findall(r"Result: label - (.+), probability - ([\d.e-]+)", "\n".join(outputs))
    assert len(answers) == 2
    assert answers[0][0] == answers[1][0]
    assert float(answers[0][1]) == pytest.approx(float(answers[1][1]), abs=0.1)


def test_image_and_list_training_with_sdk_1(server: LiveServer, seed: SeedFinder, tmp_path: Path) -> None:
    """Lists made by MXNet's own im2rec.py, four channels, resize; weights are random in this version."""
    story = cells(seed("001"))
    python = python_of("sdk1")
    names = photos.classes(5)
    for name in names:
        shutil.copytree(photos.PHOTOS / name, tmp_path / "256_ObjectCategories" / name)
    (tmp_path / "256_ObjectCategories.tar").touch()  # the archive is there and unpacked
    extract = next(i for i, cell in enumerate(story) if "tar -xf" in cell)
    assert story[extract].count("!tar -xf") == 1
    shutil.make_archive(str(tmp_path / "256_ObjectCategories"), "tar", tmp_path, "256_ObjectCategories")
    tool = python.parent.parent / "lib"
    shutil.copy(next(tool.glob("python3*/site-packages/mxnet/tools/im2rec.py")), tmp_path)
    # sixty a class go to training in the notebook; there are fewer here, and validation must keep some
    story = [cell.replace("head -n 60", "head -n 28") for cell in story]
    with sites({"008_0007.jpg": photos.unseen(names[1])}) as proxies:
        variables = server.environment(sdk=1) | proxies
        outputs = notebooks.run(story, python, tmp_path, variables, seconds=1200)
    assert_trained_and_predicted(outputs)


def test_public_bucket_training_and_endpoint_with_sdk_2(server: LiveServer, seed: SeedFinder, tmp_path: Path) -> None:
    found = cells(seed("003"))
    policy = next(cell for cell in found if "AllowPublicRead" in cell)
    story = between(found, "pip install --upgrade sagemaker", "incr_ic = ")
    # tuning is another story: without it, the notebook says, set this to False
    story = [c.replace("deploy_amt_model = True", "deploy_amt_model = False") for c in story]
    story = [c for c in story if not re.search(r"hp_tuner = |hp_tuner\.fit", c)]
    assert sum("ic.fit(" in cell for cell in story) == 2  # the second goes on from the first one's model
    photos.pack(tmp_path, photos.classes(2), "dataset_rec_train.rec", "dataset_rec_val.rec")
    variables = server.environment(sdk=2)
    publish = PUBLISH.format(policy=policy)
    python = python_of("sdk2")
    notebooks.run([publish], python, tmp_path, variables)
    for name in ("dataset_rec_train.rec", "dataset_rec_val.rec"):
        (tmp_path / name).unlink()
        download_unsigned(f"{server.url}/nvirginia-lien-cats-dogs-buckets/images_to_classify/{name}", tmp_path / name)
    shutil.copy(photos.unseen(photos.classes(2)[0]), tmp_path / "test.jpg")
    outputs = notebooks.run([*story, DEPLOY, PREDICT, DELETE], python, tmp_path, variables, seconds=1200)
    assert_trained_and_predicted(outputs)
    assert "Using the model from the model channel for initializing weights (incremental training)." in "\n".join(
        outputs
    )


PUBLISH = """
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="nvirginia-lien-cats-dogs-buckets")
for name in ("dataset_rec_train.rec", "dataset_rec_val.rec"):
    s3.upload_file(name, "nvirginia-lien-cats-dogs-buckets", "images_to_classify/" + name)
s3.put_bucket_policy(Bucket="nvirginia-lien-cats-dogs-buckets", Policy='''{policy}''')
"""
DEPLOY = """
predictor = ic.deploy(initial_instance_count=1, instance_type="ml.m5.large")
"""
PREDICT = """
import json
from sagemaker.serializers import IdentitySerializer
predictor.serializer = IdentitySerializer("application/x-image")
with open("test.jpg", "rb") as photo:
    result = json.loads(predictor.predict(photo.read()))
index = max(range(len(result)), key=result.__getitem__)
print("Result: label - " + str(index) + ", probability - " + str(result[index]))
"""
DELETE = """
predictor.delete_model()
predictor.delete_endpoint()
"""


def download_unsigned(url: str, path: Path) -> None:
    """As a browser would: no signature at all."""
    with urllib.request.urlopen(url) as answer:
        path.write_bytes(answer.read())


def assert_trained_and_predicted(outputs: list[str]) -> None:
    log = "\n".join(outputs)
    assert "Completed - Training job completed" in log, log[-3000:]
    assert re.search(r"Epoch\[\d+\] Validation-accuracy=[01]\.\d{6}", log)
    assert re.search(r"Training seconds: \d+", log)
    predicted = re.search(r"Result: label - .+, probability - ([\d.e-]+)", log)
    assert predicted, log[-3000:]
    assert 0 < float(predicted[1]) <= 1
