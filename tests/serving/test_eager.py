import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from darkroom.imaging.preprocess import Preprocess
from darkroom.networks import artifact
from darkroom.serving.content import Refused
from darkroom.serving.eager import Eager
from darkroom.serving.predictor import UnusableModel, load, predict
from tests.imaging.pictures import blocks, file_of
from tests.serving import models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def predictor(folder):
    return Eager.load(folder, device="cpu")


def photo(seed: int) -> bytes:
    return file_of(blocks(60, 80, seed), "JPEG", quality=95)


def test_probabilities_are_the_networks_own(folder, predictor):
    net = artifact.load(folder).net
    for seed in range(4):
        pixels = models.PREPROCESS.apply(photo(seed))
        with torch.inference_mode():
            expected = net(torch.from_numpy(pixels).permute(2, 0, 1)[None].float()).softmax(1)[0].numpy()
        (got,) = predict(predictor, photo(seed), "application/x-image")
        assert got.dtype == np.float32
        assert np.abs(got - expected).max() < 1e-5
        assert abs(got.sum() - 1) < 1e-5


def test_a_batch_has_the_same_bits_as_one_by_one(predictor):
    photos = [photo(seed) for seed in range(5)]
    rows = predictor.infer(np.concatenate([predictor.input.read(p, None) for p in photos]))
    assert rows.tobytes() == b"".join(predict(predictor, p).tobytes() for p in photos)
    assert len({row.tobytes() for row in rows}) == 5


def test_pixels_as_an_array_answer_as_the_photo_they_came_from(predictor):
    pixels = models.PREPROCESS.apply(photo(3))
    for array in (pixels, pixels.transpose(2, 0, 1)[None].astype(np.float32)):
        file = io.BytesIO()
        np.save(file, array)
        assert predict(predictor, file.getvalue()).tobytes() == predict(predictor, photo(3)).tobytes()


def test_class_names_ride_along(predictor):
    assert predictor.classes == models.CLASSES
    assert predictor.input.preprocess == models.PREPROCESS


def test_a_model_made_on_aws_is_served_as_aws_does(tmp_path):
    models.save(tmp_path, preprocess=None)
    (tmp_path / artifact.DETAILS).unlink()
    predictor = Eager.load(tmp_path)
    assert predictor.input.preprocess == Preprocess(32, 32, 3, None, "squash")
    assert predictor.classes == tuple("0123456789")
    assert predict(predictor, photo(1)).shape == (1, 10)


def test_a_gray_model_takes_colour_photos(tmp_path):
    gray = Preprocess(32, 32, 1, 36)
    predictor = Eager.load(models.save(tmp_path, gray))
    assert predict(predictor, photo(1)).shape == (1, 10)


def test_several_labels_are_independent_probabilities(tmp_path):
    single = predict(Eager.load(models.save(tmp_path / "one"), device="cpu"), photo(2))
    several = predict(Eager.load(models.save(tmp_path / "many", multi_label=True), device="cpu"), photo(2))
    odds = several / (1 - several)  # exp(logit), which softmax would have scaled to a sum of one
    assert np.abs(odds / odds.sum() - single).max() < 1e-4
    assert abs(several.sum() - 1) > 1e-3


def test_what_is_no_picture_is_refused(predictor):
    with pytest.raises(Refused, match="unable to evaluate payload provided"):
        predict(predictor, b"\xff\xd8\xff and then nothing", "image/jpeg")
    with pytest.raises(Refused, match="not supported"):
        predict(predictor, b"1,2,3", "text/csv")


def lacks(name):
    return lambda folder: (folder / name).unlink()


def replace(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def record(**changes):
    def change(folder):
        path = folder / artifact.DETAILS
        details = json.loads(path.read_bytes())
        details["preprocessing"] |= changes
        path.write_text(json.dumps(details))

    return change


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lacks("image-classification-0003.params"), "holds no image-classification-NNNN.params"),
        (lacks(artifact.SYMBOL), "symbol.json"),
        (lacks(artifact.SHAPES), "model-shapes.json"),
        (replace("image-classification-0003.params", b"not MXNet's"), "0003.params"),
        (replace(artifact.SYMBOL, b"cposix\nsystem\n(S'true'\ntR."), "not readable as JSON"),
        (replace(artifact.SYMBOL, b'{"nodes": [{"op": "Custom"}]}'), "no output known"),
        (replace(artifact.SHAPES, b'[{"shape": [8, 1, 32, 32], "name": "data"}]'), "channel"),
        (replace(artifact.DETAILS, b"[]"), "not a JSON object"),
        (record(sharpen=1), "understood are exactly"),
        (record(height=64), "does not fit its image shape"),
        (record(height="32"), "wrong type"),
        (shutil.rmtree, "No such file"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused_in_one_sentence(folder, tmp_path, harm, reason):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    harm(copy)
    with pytest.raises(UnusableModel, match=reason) as refusal:
        load(copy, cores=1)
    assert "\n" not in str(refusal.value)


def test_a_model_that_diverged_is_refused(folder):
    predictor = Eager.load(folder)
    with torch.no_grad():
        predictor.network.fc1.bias.fill_(float("nan"))
    with pytest.raises(UnusableModel, match="smaller learning_rate"):
        predictor.warm_up()


def test_a_small_network_answers_on_one_thread(folder):
    """In a thread of its own, as the worker has one: the number holds for the thread that set it."""
    predictor = Eager.load(folder, device="cpu")

    def threads_after_warm_up() -> int:
        torch.set_num_threads(2)
        predictor.warm_up(cores=2)
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as inference:
        assert inference.submit(threads_after_warm_up).result() == 1
