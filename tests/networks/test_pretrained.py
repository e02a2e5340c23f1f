import csv
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from darkroom.formats import params
from darkroom.imaging.preprocess import Preprocess
from darkroom.networks import catalogue, pretrained, timm_names
from darkroom.networks.architecture import MOBILENET_V2, PREACT_RESNET, RESNET, SQUEEZENET, Architecture
from darkroom.networks.mxnet import to_arrays
from darkroom.networks.pretrained import WeightsError
from tests.networks.published import dotted, publish, torchvision_state

SHARED = Path(os.environ.get("DARKROOM_SHARED", Path(__file__).parents[3] / "shared"))


def fresh(network, depth=0, classes=3, shape=(3, 32, 32)):
    return catalogue.build(Architecture.of(depth, classes, shape, network), torch.Generator().manual_seed(9))


@pytest.mark.parametrize(
    ("key", "theirs"),
    [
        ("layer1_0_conv1.weight", "layer1.0.conv1.weight"),
        ("layer3_1_downsample_1.running_var", "layer3.1.downsample.1.running_var"),
        ("features_1_conv_0_0.weight", "features.1.conv.0.0.weight"),
        ("features_10_expand3x3.bias", "features.10.expand3x3.bias"),
        ("classifier_1.weight", "classifier.1.weight"),
    ],
)
def test_our_names_are_torchvisions(key, theirs):
    assert dotted(key) == theirs  # that the helper of these tests writes what torchvision does
    assert pretrained._own_key(theirs) == key


@pytest.mark.parametrize(("network", "depth"), [(RESNET, 18), (RESNET, 50), (MOBILENET_V2, 0), (SQUEEZENET, 0)])
@pytest.mark.parametrize("wrapper", ["", "module."])
def test_a_state_dict_is_recognised_and_every_tensor_taken(tmp_path, network, depth, wrapper):
    state = torchvision_state(network, depth)
    save_file({wrapper + key: value for key, value in state.items()}, tmp_path / "w.safetensors")
    weights = pretrained.load(tmp_path / "w.safetensors")
    assert weights.architecture == Architecture.of(depth, 5, (3, 224, 224), network)
    assert weights.missing == ()
    net = fresh(network, depth)
    last = net.get_submodule(catalogue.classifier_of(net.architecture))
    before = last.weight.clone()
    pretrained.fill(net, weights)
    own = {dotted(key): value for key, value in net.state_dict().items()}
    taken = [key for key in state if not key.startswith(("fc.", "classifier.1.")) and "num_batches" not in key]
    assert all(torch.equal(own[key], state[key]) for key in taken)
    # behind a ReLU zeros would never learn
    assert torch.equal(last.weight, before if network == SQUEEZENET else torch.zeros_like(before))


def test_timms_mobilenet_has_other_names():
    state = torchvision_state(MOBILENET_V2)
    back = {its: ours for ours, its in timm_names._table().items()}
    theirs = {f"{back[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}
    for key in ("conv_stem.weight", "bn2.running_var", "blocks.0.0.conv_pw.weight", "blocks.6.0.conv_pwl.weight"):
        assert key in theirs
    assert theirs["blocks.1.1.conv_dw.weight"] is state["features.3.conv.1.0.weight"]
    weights = pretrained.of_state(theirs)
    assert weights.architecture.network == MOBILENET_V2
    assert weights.missing == ()
    assert torch.equal(weights.tensors["features_17_conv_2.weight"], state["features.17.conv.2.weight"])


def test_mxnets_arrays_are_weights(tmp_path):
    net = fresh(PREACT_RESNET, 18, classes=7, shape=(3, 224, 224))
    params.save(tmp_path / "resnet-18-0000.params", to_arrays(net))
    weights = pretrained.load(tmp_path / "resnet-18-0000.params")
    assert weights.architecture == net.architecture
    other = catalogue.build(Architecture(18, 2, (3, 64, 64), small_stem=False), torch.Generator().manual_seed(3))
    pretrained.fill(other, weights)
    assert torch.equal(other.bn_data.running_mean, net.bn_data.running_mean)
    assert torch.equal(other.stage4_unit2.conv2.weight, net.stage4_unit2.conv2.weight)
    assert other.fc1.weight.shape == (2, 512)


def test_mxnets_arrays_may_come_as_safetensors(tmp_path):
    net = fresh(PREACT_RESNET, 20, shape=(3, 28, 28))
    save_file({name: torch.from_numpy(array) for name, array in to_arrays(net).items()}, tmp_path / "w.safetensors")
    assert pretrained.load(tmp_path / "w.safetensors").architecture.num_layers == 20


def test_other_constants_of_the_input(tmp_path):
    publish(tmp_path / "w.safetensors", SQUEEZENET)
    net = fresh(SQUEEZENET)
    pretrained.fill(net, pretrained.load(tmp_path / "w.safetensors"), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    torch.testing.assert_close(net.bn_data(torch.full((2, 3, 1, 1), 255.0)).flatten(), torch.ones(6))


def test_a_grey_image_is_seen_as_a_grey_picture_in_colour_was(tmp_path):
    publish(tmp_path / "w.safetensors", SQUEEZENET)
    weights = pretrained.load(tmp_path / "w.safetensors")
    constants = (0.4, 0.4, 0.4), (0.2, 0.2, 0.2)
    grey, colour = fresh(SQUEEZENET, shape=(1, 32, 32)), fresh(SQUEEZENET)
    pretrained.fill(grey, weights, *constants)
    pretrained.fill(colour, weights, *constants)
    grey.classifier_1.load_state_dict(colour.classifier_1.state_dict())
    image = torch.rand((1, 1, 32, 32), generator=torch.Generator().manual_seed(1)) * 255
    torch.testing.assert_close(grey(image), colour(image.expand(1, 3, 32, 32)), atol=1e-4, rtol=1e-4)


def changed(**changes):
    state = torchvision_state(SQUEEZENET)
    return {key: value for key, value in (state | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, r"its tensors \(no tensors at all, …\) are those of no network offered here"),
        ({"a": torch.zeros(2)}, r"its tensors \(a, …\)"),
        (changed(more=torch.zeros(1)), "the SqueezeNet 1.1 has no .more"),
        (changed(**{"features.0.bias": torch.zeros(3)}), r"features_0.bias has the shape \(3,\), expected \(64,\)"),
        (
            changed(**{"features.0.bias": torch.full((64,), torch.nan)}),
            "features_0.bias holds values that are no numbers",
        ),
        (changed(**{"features.0.weight": torch.zeros(64, 3, 3, 3, dtype=torch.int8)}), "quantised weights"),
        (
            {k: v for k, v in changed().items() if k in ("features.0.weight", "features.3.squeeze.weight")},
            "it lacks 48",
        ),
        ({str(k): torch.zeros(1) for k in range(10_001)}, "10001 tensors, more than any network"),
    ],
)
def test_what_is_no_weights_is_refused_with_the_reason(tmp_path, state, reason):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=f"^w.safetensors: .*{reason}"):
        pretrained.load(tmp_path / "w.safetensors")


def test_a_pytorch_file_is_not_opened_by_a_job(tmp_path):
    torch.save(torchvision_state(SQUEEZENET), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w.pth is a PyTorch file; bring it in with: darkroom weights add .*w.pth"):
        pretrained.load(tmp_path / "w.pth")


@pytest.mark.parametrize("kind", ["safetensors", "params"])
def test_no_damaged_file_does_harm(tmp_path, kind):
    """Bytes changed, cut and put in at random places: the file is read, or refused."""
    path = tmp_path / f"w.{kind}"
    if kind == "safetensors":
        publish(path, SQUEEZENET)
    else:
        params.save(path, to_arrays(fresh(SQUEEZENET)))
    whole = path.read_bytes()
    random = torch.Generator().manual_seed(7)

    def below(limit):
        return int(torch.randint(0, limit, (1,), generator=random))

    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(1 + below(4)):
            data[below(min(len(data), 6000))] = below(256)  # the headers are where harm could be done
        if below(3) == 0:
            del data[below(len(data)) :]
        path.write_bytes(data)
        try:
            pretrained.load(path)
        except WeightsError:
            refused += 1
    assert refused > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("mobilenet_v2_imagenet", 0.82), ("squeezenet1_1_imagenet", 0.65)]
)  # measured when the files were made: 0.85 and 0.68
def test_real_weights_know_their_photos(name, least):
    path, photos = SHARED / "weights" / f"{name}.safetensors", SHARED / "data" / "imagenet_samples"
    if not path.exists() or not photos.exists():
        pytest.skip(f"{path} or {photos} is not on this machine")
    weights = pretrained.load(path)
    net = catalogue.build(weights.architecture)
    pretrained.fill(net, weights)
    state = {dotted(key): value for key, value in net.state_dict().items()}
    from safetensors.torch import load_file

    head = {key: value for key, value in load_file(path).items() if key.startswith("classifier.1.")}
    assert head.keys() <= state.keys()
    net.load_state_dict({key: head.get(dotted(key), value) for key, value in net.state_dict().items()})
    preprocess, right, rows = (
        Preprocess(224, 224, 3, 256),
        0,
        list(csv.DictReader((photos / "labels.csv").read_text().splitlines())),
    )
    with torch.inference_mode():
        for row in rows:
            pixels = preprocess.apply(next(photos.rglob(row["file"])).read_bytes())
            right += int(net.eval()(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]).argmax()) == int(
                row["class_index"]
            )
    assert right / len(rows) >= least
