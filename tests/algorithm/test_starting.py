"""Where a job begins: pretrained weights, the model of an earlier job, random numbers."""

import io
import tarfile

import pytest
import torch
from safetensors.torch import save_file

from darkroom.algorithm import starting
from darkroom.algorithm.failures import CustomerError
from darkroom.algorithm.hyperparameters import parse
from darkroom.contract import exits
from darkroom.contract.layout import Layout
from darkroom.networks import artifact, catalogue
from darkroom.networks.architecture import MOBILENET_V2, RESNET, SQUEEZENET, Architecture
from darkroom.networks.mxnet import to_arrays
from darkroom.networks.weights_folder import Record, write_record
from tests.networks.published import publish

pytestmark = pytest.mark.slow

GIVEN = {"num_classes": "3", "num_layers": "18", "image_shape": "3,40,40", "use_pretrained_model": "1"}


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


def found(weights, layout=None, *, strict=False, **given):
    layout = layout or Layout(weights.parent / "ml")
    return starting.find(parse(GIVEN | given), layout, {"DARKROOM_WEIGHTS": str(weights)}, strict)


def reason(weights, layout=None, **given):
    with pytest.raises(CustomerError) as error:
        found(weights, layout, **given)
    return " ".join(error.value.messages)


def test_without_weights_the_command_that_fetches_them_is_named(weights):
    said = reason(weights)
    assert said.startswith(
        f"use_pretrained_model is 1, but there are no pretrained weights for ResNet-18 in {weights}."
    )
    assert "darkroom weights pull resnet18; or add a file of your own with: darkroom weights add FILE" in said
    assert said.endswith("Or set use_pretrained_model to 0.")
    assert "darkroom weights pull mobilenet_v2" in reason(weights, network="mobilenet_v2")
    assert " Add a file of your own with: darkroom weights add FILE" in reason(weights, num_layers="20")


def test_a_folder_that_does_not_exist_holds_no_weights(weights):
    weights.rmdir()
    assert "no pretrained weights for ResNet-18" in reason(weights)


def test_other_weights_and_broken_ones_are_told(weights):
    publish(weights / "small.safetensors", MOBILENET_V2)
    (weights / "bad.params").write_bytes(b"no")
    said = reason(weights)
    assert "Weights that are there go with network=mobilenet_v2." in said
    assert "Not usable: bad.params is neither safetensors nor MXNet's .params" in said


def test_weights_for_other_channels_are_told(weights):
    publish(weights / "grey.safetensors", SQUEEZENET, channels=1)
    assert "Not usable: grey.safetensors is for images of 1 channel(s)." in reason(weights, network="squeezenet1_1")
    assert found(weights, network="squeezenet1_1", image_shape="1,40,40").held.name == "grey"


def test_files_whose_record_says_another_network_are_not_read(weights):
    (weights / "huge.safetensors").write_bytes(b"not even weights")
    write_record(weights / "huge.json", Record(network="resnet", num_layers=152))
    said = reason(weights)
    assert "Weights that are there go with network=resnet, num_layers=152." in said
    assert "Not usable" not in said


def test_the_network_is_chosen_by_what_the_weights_are(weights):
    publish(weights / "r18.safetensors", RESNET, 18)
    assert found(weights).architecture == Architecture(18, 3, (3, 40, 40), False, RESNET)


def test_the_documented_network_goes_before_another(weights):
    from darkroom.formats import params

    publish(weights / "a.safetensors", RESNET, 18)
    net = catalogue.build(Architecture(18, 4, (3, 224, 224), small_stem=False))
    params.save(weights / "z.params", to_arrays(net))
    start = found(weights)
    assert (start.held.name, start.architecture.network) == ("z", "preact_resnet")
    assert found(weights, network="resnet").held.name == "a"
    # small images keep the stem that the weights were trained with
    assert found(weights, image_shape="3,28,28").architecture.small_stem is False


def test_strict_transfers_to_224_pixels_only(weights):
    publish(weights / "r18.safetensors", RESNET, 18)
    with pytest.raises(CustomerError, match="takes image_shape '3,224,224', not '3,40,40'"):
        found(weights, strict=True)


def test_a_job_starts_from_weights_and_says_so(job, run, weights):
    state = publish(weights / "small.safetensors", SQUEEZENET)
    job.settings(use_pretrained_model=1, network="squeezenet1_1", image_shape="3,32,32", learning_rate=1e-12)
    job.colours(train=16, validation=0)
    code, messages = run(DARKROOM_WEIGHTS=str(weights))
    assert code == exits.OK, messages
    assert "Using pretrained model for initializing weights and transfer learning." in messages
    assert "Weights: small (SqueezeNet 1.1); the last layer starts anew." in messages
    model = artifact.load(job.base / "model")
    assert (model.net.architecture.network, model.num_classes) == (SQUEEZENET, 3)
    assert torch.allclose(model.net.features_0.weight, state["features.0.weight"], atol=1e-6)


def test_tensors_that_are_missing_are_named(job, run, weights):
    publish(weights / "part.safetensors", SQUEEZENET, without=("features.12.expand3x3.weight",))
    job.settings(use_pretrained_model=1, network="squeezenet1_1", image_shape="3,32,32").colours(16, 0)
    _, messages = run(DARKROOM_WEIGHTS=str(weights))
    warned = "part.safetensors lacks 1 tensors, which start anew: features_12_expand3x3.weight"
    assert f"WARNING {warned}" in messages


# --- the model channel


def trained(folder, *, depth=20, classes=3, shape=(3, 28, 28), multi_label=False, names=("red", "green", "blue")):
    net = catalogue.build(Architecture.of(depth, classes, shape), torch.Generator().manual_seed(1))
    artifact.save(folder, net, epoch=4, batch_size=8, classes=names, multi_label=multi_label)
    return net


def packed(folder, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)


SMALL = {"num_layers": "20", "image_shape": "3,28,28", "use_pretrained_model": "0"}


@pytest.mark.parametrize("unpacked", [True, False])
def test_an_earlier_model_is_gone_on_from(job, weights, tmp_path, unpacked):
    channel = job.channel("model")
    net = trained(channel if unpacked else tmp_path / "made")
    if not unpacked:
        packed(tmp_path / "made", channel / "model.tar.gz")
    start = found(weights, Layout(job.base), **SMALL)
    assert start.classes == ("red", "green", "blue")
    begun = start.network(torch.Generator())
    assert all(torch.equal(value, begun.state_dict()[key]) for key, value in net.state_dict().items())


def test_the_first_epoch_of_incremental_training_starts_high(job, run, tmp_path):
    job.settings(epochs=4).colours()
    code, messages = run()
    assert code == exits.OK, messages
    (job.base / "model").rename(tmp_path / "earlier")
    packed(tmp_path / "earlier", job.channel("model") / "model.tar.gz")
    job.settings(epochs=1, learning_rate=0.001)
    code, messages = run()
    assert code == exits.OK, messages
    assert "Using the model from the model channel for initializing weights (incremental training)." in messages
    assert accuracy(messages) >= 0.9


def accuracy(messages):
    return next(float(m.rpartition("=")[2]) for m in messages if "Validation-accuracy" in m)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_layers": "32"}, "has num_layers 20, but the hyperparameter num_layers is 32: set num_layers to 20"),
        ({"num_classes": "2"}, "has num_classes 3, but the hyperparameter num_classes is 2: set num_classes to 3"),
        ({"image_shape": "3,28,29"}, "has image_shape 3,28,28, but the hyperparameter image_shape is 3,28,29"),
        ({"network": "mobilenet_v2"}, "has network preact_resnet, but the hyperparameter network is mobilenet_v2"),
        ({"multi_label": "1"}, "has multi_label 0, but the hyperparameter multi_label is 1"),
    ],
)
def test_a_model_of_another_kind_is_refused(job, weights, given, said):
    trained(job.channel("model"))
    assert said in reason(weights, Layout(job.base), **(SMALL | given))


def test_every_difference_is_told_at_once(job, weights):
    trained(job.channel("model"))
    said = reason(weights, Layout(job.base), **(SMALL | {"num_layers": "32", "num_classes": "2"}))
    assert "num_layers" in said
    assert "num_classes" in said


def test_what_is_no_model_is_refused(job, weights):
    channel = job.channel("model")
    assert "The model channel is empty" in reason(weights, Layout(job.base), **SMALL)
    (channel / "model.tar.gz").write_bytes(b"no archive")
    said = reason(weights, Layout(job.base), **SMALL)
    assert "holds no model that training can go on from: model.tar.gz is not a complete gzipped tar archive" in said
    with tarfile.open(channel / "model.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../evil"), io.BytesIO())
    assert "may not be unpacked" in reason(weights, Layout(job.base), **SMALL)
    (channel / "other.tar.gz").write_bytes(b"no archive")
    assert "holds 2 archives" in reason(weights, Layout(job.base), **SMALL)


def test_a_model_that_diverged_is_refused(job, weights, tmp_path):
    net = trained(tmp_path / "good")
    with torch.no_grad():
        net.get_parameter("fc1.weight")[0, 0] = torch.nan
    artifact.save(job.channel("model"), net, epoch=4, batch_size=8)
    said = reason(weights, Layout(job.base), **SMALL)
    assert "The model in the model channel holds values that are no numbers, in fc1.weight" in said
    assert "or train without the model channel" in said


def test_a_network_of_ours_is_gone_on_from(job, weights):
    net = catalogue.build(Architecture.of(0, 3, (3, 32, 32), SQUEEZENET))
    artifact.save(job.channel("model"), net, epoch=1, batch_size=1)
    start = found(weights, Layout(job.base), image_shape="3,32,32", use_pretrained_model="0")
    assert start.architecture.network == SQUEEZENET


def test_published_files_are_not_changed_by_what_starts_from_them(weights):
    state = publish(weights / "s.safetensors", SQUEEZENET)
    net = found(weights, network="squeezenet1_1").network(torch.Generator())
    with torch.no_grad():
        net.features_0.weight.zero_()
    save_file(state, weights / "again.safetensors")
    assert (weights / "again.safetensors").read_bytes() == (weights / "s.safetensors").read_bytes()
