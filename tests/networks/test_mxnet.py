import numpy as np
import pytest
import torch

from darkroom.networks.architecture import DEPTHS, Architecture
from darkroom.networks.mxnet import ArraysError, architecture_of, from_arrays, to_arrays
from darkroom.networks.resnet import build

SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def arrays():
    net = build(20, 4, SHAPE, generator=torch.Generator().manual_seed(1))
    return to_arrays(net)


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand((3, *SHAPE), generator=torch.Generator().manual_seed(seed)) * 255


def renamed(arrays, old, new):
    return {name.replace(old, new): array for name, array in arrays.items()}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("small_stem", [True, False])
def test_the_architecture_is_read_off_the_arrays(depth, small_stem):
    from darkroom.networks.resnet import empty

    architecture = Architecture(depth, 7, (1, 40, 50), small_stem=small_stem)
    shapes = to_arrays(empty(architecture).to_empty(device="cpu"))
    assert architecture_of(shapes, (1, 40, 50)) == architecture


def test_a_network_survives_the_round_trip(arrays):
    net = from_arrays(arrays, architecture_of(arrays, SHAPE))
    again = to_arrays(net)
    assert list(again) == list(arrays)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())
    assert not net.training
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["bn_data.weight"]


@pytest.mark.parametrize("name", ["fc", "newlayer_fc2"])
def test_the_last_layer_may_have_aws_other_names(arrays, name):
    other = renamed(arrays, ":fc1_", f":{name}_")
    expected = from_arrays(arrays, architecture_of(arrays, SHAPE))(images())
    assert torch.equal(from_arrays(other, architecture_of(other, SHAPE))(images()), expected)


def test_the_first_gamma_counts_as_one(arrays):
    odd = arrays | {"arg:bn_data_gamma": np.full(3, 9, np.float32)}
    net = from_arrays(odd, architecture_of(odd, SHAPE))
    assert torch.equal(net(images()), from_arrays(arrays, architecture_of(arrays, SHAPE))(images()))


def test_half_precision_files_are_read(arrays):
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    assert from_arrays(halves, architecture_of(halves, SHAPE)).conv0.weight.dtype == torch.float32


def test_loaded_networks_learn(arrays):
    net = from_arrays(arrays, architecture_of(arrays, SHAPE)).train()
    net(images()).sum().backward()
    net.load_state_dict(net.state_dict())
    assert net.bn1.num_batches_tracked.item() == 1


def without(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: {}, "no array arg:conv0_weight of 4 dimensions"),
        (lambda a: without(a, "arg:fc1_weight"), "expected one fully connected layer, found 0: none"),
        (lambda a: a | {"arg:fc2_weight": np.zeros((2, 2), "f4")}, "found 2: arg:fc1_weight, arg:fc2_weight"),
        (lambda a: without(a, "arg:stage1_unit3_conv1_weight"), r"stages of \(2, 3, 3\) basic units are no network"),
        (lambda a: without(a, "aux:bn1_moving_var", "arg:bn1_beta"), r"lacks 2 array\(s\): arg:bn1_beta, aux:bn1_mov"),
        (lambda a: a | {"arg:more": np.zeros(1, "f4")}, r"has the unknown 1 array\(s\): arg:more"),
        (lambda a: a | {"arg:fc1_bias": np.zeros(5, "f4")}, r"fc1_bias has the shape \(5,\), expected \(4,\)"),
        (lambda a: a | {"arg:fc1_bias": np.zeros(4, "i4")}, "fc1_bias holds int32, expected floating point"),
        (lambda a: a | {"arg:conv0_weight": np.zeros((16, 1, 3, 3), "f4")}, r"takes 1 channel\(s\)"),
        (lambda a: a | {"arg:fc1_weight": np.zeros((0, 64), "f4")}, r"fc1_weight has the shape \(0, 64\)"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(arrays, change, reason):
    changed = change(arrays)
    with pytest.raises(ArraysError, match=reason):
        from_arrays(changed, architecture_of(changed, SHAPE))
