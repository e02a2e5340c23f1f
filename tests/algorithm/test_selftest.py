"""The trial of the stored model: equal to what training said, and loud where it is not."""

import logging

import numpy as np
import pytest

from darkroom.algorithm import selftest
from darkroom.algorithm.channels import open_channels
from darkroom.algorithm.data.images import ImageSet, Memory
from darkroom.contract.layout import Layout
from darkroom.imaging.preprocess import Preprocess
from darkroom.networks import artifact, resnet


@pytest.fixture
def images(job):
    job.settings().colours(train=16, validation=20)
    preprocess = Preprocess(28, 28, 3, 32)
    artifact.save(
        job.base / "model", resnet.build(20, 3, (3, 28, 28)), epoch=1, batch_size=8, preprocessing=preprocess.to_dict()
    )
    samples = open_channels(Layout(job.base), logging.getLogger("nobody")).validation
    return ImageSet.of(samples, np.arange(20) % 3, preprocess.apply, Memory(0))


@pytest.fixture
def compare(job, images, caplog):
    caplog.set_level("INFO", "trial")

    def compare(verdicts, clock=lambda: 0.0, total=20):
        caplog.clear()
        given = images, np.array(verdicts, float), total, 1
        selftest.compare(job.base / "model", *given, logging.getLogger("trial"), clock)
        return caplog.messages

    return compare


def test_a_difference_is_said(compare):
    right = float(compare([0] * 20)[0].split(": ")[1]) * 20
    assert compare([1] * round(right) + [0] * (20 - round(right))) == [
        f"Validation accuracy through the serving code: {right / 20:.6f}"
    ]
    lines = compare([1] * (20 - round(right)) + [0] * round(right)) if abs(right - 10) > 2 else compare([1] * 20)
    assert lines[1].startswith("During training it was ")


def test_what_training_could_not_read_is_left_out(compare):
    assert "(18 of 20 images)" in compare([np.nan, np.nan] + [0] * 18)[0]


def test_images_of_other_hosts_are_not_tried_and_that_is_said(compare):
    assert compare([0] * 20, total=50)[0].endswith("(20 of 50 images)")


def test_it_ends_in_time(compare):
    ticks = iter([0, 1, 2, 3, 25, 26])
    assert "(3 of 20 images)" in compare([0] * 20, lambda: next(ticks))[0]


def test_a_model_that_cannot_be_served(job, compare):
    (job.base / "model" / "model-shapes.json").unlink()
    assert compare([0] * 20)[0].startswith("The stored model cannot be served: ")


def test_rounding_is_no_difference():
    assert not selftest.differs(0.80, 0.85, 20)  # one image of twenty
    assert selftest.differs(0.75, 0.85, 20)
    assert not selftest.differs(0.8510, 0.8505, 2000)
    assert selftest.differs(0.70, 0.885, 2000)
