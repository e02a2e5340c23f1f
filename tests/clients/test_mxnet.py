"""The real MXNet 1.9.1, in its own environment, reads what is written here, writes what is read here, agrees on every
probability. Each script of ``mxnet_scripts`` is one small program; .npy, .npz and .json files pass between the two."""

import json

import numpy as np
import pytest
import simplejpeg
import torch

from darkroom.formats import params
from darkroom.formats.recordio import ImageHeader, RecordFile, pack_image
from darkroom.formats.writing import RecordWriter
from darkroom.networks import artifact, catalogue
from darkroom.networks.architecture import MOBILENET_V2, PREACT_RESNET, RESNET, SQUEEZENET, Architecture
from darkroom.networks.catalogue import Net, classifier_of

pytestmark = pytest.mark.clients

MAGIC = bytes.fromhex("0a23d7ce")
PAYLOADS = [b"", b"plain", MAGIC, b"1234" + MAGIC + b"56", b"1" + MAGIC, MAGIC * 3, b"12345678" + MAGIC + bytes(5)]


def records() -> list[dict]:
    return [
        {"key": 100 + n, "labels": [0.5 * n] if n % 2 else [1.0, 0.0, float(n)], "id": n, "id2": 0, "data": data.hex()}
        for n, data in enumerate(PAYLOADS)
    ]


def test_mxnet_reads_our_records(mxnet, tmp_path):
    with RecordWriter(tmp_path / "a.rec") as writer:
        for record in records():
            header = ImageHeader(np.array(record["labels"]), record["id"], record["id2"])
            writer.write(pack_image(header, bytes.fromhex(record["data"])), record["key"])
    mxnet("read_records")
    assert json.loads((tmp_path / "records.json").read_text()) == records()


def test_we_read_mxnets_records_and_write_the_same_bytes(mxnet, tmp_path):
    (tmp_path / "records.json").write_text(json.dumps(records()))
    mxnet("write_records")
    file = RecordFile(tmp_path / "a.rec")
    assert len(file) == len(PAYLOADS)
    with RecordWriter(tmp_path / "ours.rec") as writer:
        for position, record in enumerate(records()):
            header, data = file.image(position)
            assert (header.id, header.label.tolist(), data.hex()) == (record["id"], record["labels"], record["data"])
            writer.write(file[position], record["key"])
    assert (tmp_path / "ours.rec").read_bytes() == (tmp_path / "a.rec").read_bytes()
    assert (tmp_path / "ours.idx").read_bytes() == (tmp_path / "a.idx").read_bytes()


@pytest.mark.parametrize("width", [1, 3])
def test_mxnets_training_iterator_reads_our_images(mxnet, tmp_path, width):
    labels = np.arange(5 * width, dtype=np.float32).reshape(5, width)
    with RecordWriter(tmp_path / "a.rec") as writer:
        for n, label in enumerate(labels):
            flat = np.full((8, 8, 3), (40 * n, 0, 255 - 40 * n), dtype=np.uint8)
            writer.write(pack_image(ImageHeader(label, n), simplejpeg.encode_jpeg(flat, quality=100)))
    mxnet("iterate_images", width)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), labels)
    reds = np.load(tmp_path / "images.npy")[:, 0].mean(axis=(1, 2))
    np.testing.assert_allclose(reds, [0, 40, 80, 120, 160], atol=3)


def test_params_are_the_same_bytes_both_ways(mxnet, tmp_path):
    generator = np.random.default_rng(1)
    types = ["f4", "f8", "f2", "u1", "i4", "i1", "i8"]
    arrays = {f"arg:{t}": generator.integers(0, 100, (2, 3, n + 1)).astype(t) for n, t in enumerate(types)}
    arrays |= {"aux:ünïcode": np.ones(1, "f4")}
    np.savez(tmp_path / "arrays.npz", **arrays)
    params.save(tmp_path / "ours.params", arrays)
    mxnet("rewrite_params")
    ours = (tmp_path / "ours.params").read_bytes()
    assert (tmp_path / "mxnet.params").read_bytes() == ours
    assert (tmp_path / "again.params").read_bytes() == ours
    loaded = params.load(tmp_path / "mxnet.params")
    assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())
    assert len(params.load(tmp_path / "unnamed.params")) == len(arrays)
    assert params.load(tmp_path / "bfloat16.params")["x"].tolist() == [1.0, -2.5]
    with pytest.raises(params.ParamsError, match="stored as csr"):
        params.load(tmp_path / "sparse.params")


def photos(count: int, shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    """Blotches of random size and brightness: unlike noise, they look different to a network."""
    coarse = torch.rand((count, shape[0], 3, 3), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    return (smooth * torch.linspace(60, 255, count).reshape(-1, 1, 1, 1)).round()


@torch.no_grad()
def lived_in(net: Net, generator: torch.Generator) -> Net:
    """Weights and statistics as training leaves them: none is 0 or 1 any more, and the logits are moderate."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.bias.normal_(0.0, 0.2, generator=generator)
            if module is not net.bn_data:
                module.weight.uniform_(0.5, 1.5, generator=generator)
    seen = photos(8, net.architecture.image_shape, generator)
    for _ in range(20):
        net.train()(seen)
    logits = net.eval()(seen)
    last = net.get_submodule(classifier_of(net.architecture))
    last.weight.div_(logits.std())
    if isinstance(last, torch.nn.Linear):  # a convolution's outputs go through a ReLU yet
        last.bias.copy_(-logits.mean(dim=0) / logits.std())
    return net


def built(network: str, depth: int, shape: tuple[int, int, int], generator: torch.Generator) -> Net:
    """Of five classes, freshly initialised."""
    return catalogue.build(Architecture.of(depth, 5, shape, network), generator)


NETWORKS = [
    *((PREACT_RESNET, *case) for case in [(50, (3, 64, 96), False), (20, (3, 28, 28), False), (34, (1, 32, 32), True)]),
    *((PREACT_RESNET, 18, (3, 224, 224), False), (RESNET, 18, (3, 64, 72), False), (RESNET, 50, (1, 48, 40), True)),
    *((MOBILENET_V2, 0, (3, 64, 40), False), (SQUEEZENET, 0, (3, 66, 71), False)),
]


@pytest.mark.parametrize(("network", "depth", "shape", "multi_label"), NETWORKS)
def test_mxnet_gives_the_same_probabilities(mxnet, tmp_path, network, depth, shape, multi_label):
    generator = torch.Generator().manual_seed(depth)
    net = lived_in(built(network, depth, shape, generator), generator)
    images = photos(4, shape, generator)
    artifact.save(tmp_path, net, epoch=3, batch_size=8, classes=list("abcde"), multi_label=multi_label)
    np.save(tmp_path / "images.npy", images.numpy())
    mxnet("predict", 3)
    with torch.inference_mode():
        logits = artifact.load(tmp_path).net(images)
    ours = (logits.sigmoid() if multi_label else logits.softmax(dim=1)).numpy()
    theirs = np.load(tmp_path / "probabilities.npy")
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.ptp(theirs, axis=0).min() > 0.01  # the images are told apart: the comparison says something
    saved_again = (tmp_path / "again-0001.params").read_bytes()
    assert saved_again == (tmp_path / "image-classification-0003.params").read_bytes()


@pytest.mark.parametrize(
    ("network", "depth", "shape"),
    [(PREACT_RESNET, 20, (3, 28, 28)), (PREACT_RESNET, 18, (3, 40, 40)), (MOBILENET_V2, 0, (3, 40, 40))],
)
def test_a_model_trained_by_mxnet_gives_the_same_probabilities_here(mxnet, tmp_path, network, depth, shape):
    generator = torch.Generator().manual_seed(depth)
    net = catalogue.build(Architecture.of(depth, 3, shape, network), generator)
    artifact.save(tmp_path, net, epoch=1, batch_size=8)
    np.save(tmp_path / "images.npy", photos(12, shape, generator).numpy())
    np.save(tmp_path / "labels.npy", (np.arange(12) % 3).astype(np.float32))
    mxnet("train")
    loaded = artifact.load(tmp_path)
    assert (loaded.epoch, loaded.num_layers, loaded.num_classes) == (5, depth, 3)
    with torch.inference_mode():
        ours = loaded.net(torch.from_numpy(np.load(tmp_path / "images.npy"))).softmax(dim=1)
    np.testing.assert_allclose(ours.numpy(), np.load(tmp_path / "probabilities.npy"), atol=1e-4)
