"""The worker's ASGI application without its process: what a fault of ours looks like."""

import asyncio
from dataclasses import replace

import pytest
import torch

from darkroom.serving.eager import Eager
from darkroom.serving.encode import JSON
from darkroom.serving.worker import Application, Limits
from tests.imaging.pictures import file_of, scene
from tests.serving import models


class Broken(torch.nn.Module):
    def forward(self, images):
        raise RuntimeError("a kernel gave up")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Eager.load(models.save(tmp_path_factory.mktemp("model")))


def call(predictor: Eager, body: bytes) -> tuple[int, bytes, list[str]]:
    sent, log = [], []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    async def run():
        application = Application(predictor, JSON, Limits(decoders=1), log.append, now=lambda: 0.0)
        scope = {"type": "http", "method": "POST", "path": "/invocations", "http_version": "1.1"}
        await application(scope | {"headers": [(b"content-type", b"image/jpeg")]}, receive, send)

    asyncio.run(run())
    return sent[0]["status"], sent[1]["body"], log


def test_a_fault_of_ours_is_a_500_with_its_traceback_in_the_log_only(predictor):
    status, body, log = call(replace(predictor, network=Broken()), file_of(scene(), "JPEG"))
    assert status == 500
    assert body == b"Internal Server Error: the model could not answer; the endpoint's log says why"
    assert "Traceback (most recent call last)" in log[0]
    assert "a kernel gave up" in log[0]
    assert '" 500 ' in log[1]


def test_a_bad_photo_is_not(predictor):
    status, _, log = call(replace(predictor, network=Broken()), b"no photo")
    assert status == 400
    assert not any("Traceback" in line for line in log)
