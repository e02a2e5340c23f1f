"""The importer against the real MXNet 1.9.1: networks made there, of every operator, and our own ResNets.

``tests/clients/test_mxnet.py`` shows that those answer in MXNet as they do in torch.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from darkroom.compiler.importers import mxnet
from darkroom.compiler.inputs import Input
from darkroom.compiler.optimise import fold_batch_norms
from darkroom.networks import artifact
from darkroom.networks.resnet import build
from tests.clients.environments import python_of
from tests.clients.test_mxnet import NETWORKS, built, lived_in, photos

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[1] / "mxnet_scripts" / "symbols.py"
NAMES = ("lenet", "mlp", "alexnet", "pools", "scalars", "leaky", "norms", "half")


def answers(model, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [python_of("mxnet"), SCRIPT, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.clients
@pytest.mark.parametrize("name", NAMES)
def test_networks_made_by_mxnet_answer_the_same(networks, name):
    images = np.load(networks / name / "images.npy")
    model = mxnet.load(networks / name, [Input("data", (None, *images.shape[1:]))])
    theirs = np.load(networks / name / "probabilities.npy")
    np.testing.assert_allclose(answers(model, images), theirs, atol=1e-5)
    np.testing.assert_allclose(answers(fold_batch_norms(model), images), theirs, atol=1e-5)
    assert np.ptp(theirs, axis=0).max() > 0.01  # the images are told apart: the comparison says something


@pytest.mark.parametrize(("network", "depth", "shape", "multi_label"), NETWORKS)
def test_our_networks_answer_the_same(tmp_path, network, depth, shape, multi_label):
    generator = torch.Generator().manual_seed(depth)
    net = lived_in(built(network, depth, shape, generator), generator)
    images = photos(4, shape, generator)
    artifact.save(tmp_path, net, epoch=3, batch_size=8, multi_label=multi_label)
    with torch.inference_mode():
        logits = net(images)
    ours = (logits.sigmoid() if multi_label else logits.softmax(dim=1)).numpy()
    model = mxnet.load(tmp_path, [Input("data", (None, *shape))])
    np.testing.assert_allclose(answers(model, images.numpy()), ours, atol=3e-5)
    np.testing.assert_allclose(answers(fold_batch_norms(model), images.numpy()), ours, atol=3e-5)


def test_batch_norms_after_convolutions_are_gone(tmp_path):
    artifact.save(tmp_path, build(20, 5, (3, 28, 28)), epoch=1, batch_size=8)
    model = mxnet.load(tmp_path, [Input("data", (None, 3, 28, 28))])
    folded = fold_batch_norms(model)
    kinds = [[node.op_type for node in m.graph.node].count("BatchNormalization") for m in (model, folded)]
    assert kinds == [20, 10]  # of each unit the second goes, of the first unit both; those of sums and of the data stay
