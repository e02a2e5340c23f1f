from pathlib import Path

import numpy as np

from darkroom.serving.eager import Eager
from darkroom.serving.predictor import predict
from darkroom.serving.selftest import accuracy
from tests.imaging.pictures import blocks, file_of
from tests.serving import models


def photos(count: int) -> list[bytes]:
    return [file_of(blocks(40, 50, seed), "JPEG") for seed in range(count)]


def answered(folder: Path, count: int) -> np.ndarray:
    predictor = Eager.load(folder)
    return np.concatenate([predict(predictor, data) for data in photos(count)])


def test_accuracy_is_counted_through_the_endpoints_code(tmp_path):
    models.save(tmp_path)
    answers = answered(tmp_path, 30).argmax(1)
    labels = [int(a) if k % 3 else (int(a) + 1) % 10 for k, a in enumerate(answers)]  # ten of them wrong
    assert accuracy(tmp_path, zip(photos(30), labels, strict=True)) == (20 / 30, 30)


def test_photos_an_endpoint_would_refuse_count_neither_way(tmp_path):
    models.save(tmp_path)
    best = int(answered(tmp_path, 1).argmax())
    assert accuracy(tmp_path, [(photos(1)[0], best), (b"no photo", 0)]) == (1.0, 1)
    assert accuracy(tmp_path, []) == (0.0, 0)


def test_several_labels_count_every_class(tmp_path):
    models.save(tmp_path, multi_label=True)
    given = (answered(tmp_path, 2) >= 0.5).astype(np.float32)
    given[1, :5] = 1 - given[1, :5]
    assert accuracy(tmp_path, zip(photos(2), given, strict=True)) == (0.75, 2)
