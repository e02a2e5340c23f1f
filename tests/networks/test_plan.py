import pytest
import torch

from darkroom.networks import catalogue
from darkroom.networks.architecture import (
    MOBILENET_V2,
    NETWORKS,
    PREACT_RESNET,
    RESNET,
    SQUEEZENET,
    Architecture,
    ArchitectureError,
)
from darkroom.networks.mxnet import architecture_of, from_arrays, to_arrays
from darkroom.networks.plan import INPUT, plan_of

EVERY = [
    (network, depth) for network, depths in NETWORKS.items() for depth in depths or (0,) if network != PREACT_RESNET
]


def architecture(network, depth=0, classes=1000, shape=(3, 224, 224)):
    return Architecture.of(depth, classes, shape, network)


# numbers of parameters that torchvision's documentation gives
@pytest.mark.parametrize(
    ("network", "depth", "count"),
    [
        (RESNET, 18, 11_689_512),
        (RESNET, 34, 21_797_672),
        (RESNET, 50, 25_557_032),
        (RESNET, 101, 44_549_160),
        (RESNET, 152, 60_192_808),
        (MOBILENET_V2, 0, 3_504_872),
        (SQUEEZENET, 0, 1_235_496),
    ],
)
def test_as_many_weights_as_published(network, depth, count):
    net = catalogue.empty(architecture(network, depth))
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == count


@pytest.mark.parametrize(("network", "depth"), EVERY)
def test_steps_follow_their_sources_and_names_are_unique(network, depth):
    steps = plan_of(architecture(network, depth)).steps
    assert all(INPUT <= source < number for number, step in enumerate(steps) for source in step.sources)
    assert len({step.name for step in steps}) == len(steps)


@pytest.mark.parametrize(("network", "depth"), [*EVERY[:3], (MOBILENET_V2, 0), (SQUEEZENET, 0)])
def test_arrays_bring_the_same_network_back(network, depth):
    net = catalogue.build(architecture(network, depth, 4, (3, 32, 40)), torch.Generator().manual_seed(1)).eval()
    arrays = to_arrays(net)
    again = from_arrays(arrays, architecture_of(arrays, (3, 32, 40)))
    assert again.architecture == net.architecture
    assert list(to_arrays(again)) == list(arrays)
    images = torch.rand((2, 3, 32, 40), generator=torch.Generator().manual_seed(2)) * 255
    assert torch.equal(again(images), net(images))


@pytest.mark.parametrize("network", [MOBILENET_V2, SQUEEZENET])
def test_the_answer_of_training_is_differentiable_and_constants_stay(network):
    net = catalogue.build(architecture(network, classes=3, shape=(3, 32, 32)), torch.Generator().manual_seed(1)).train()
    before = {key: value.clone() for key, value in net.bn_data.state_dict().items()}
    net(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)).square().sum().backward()
    assert all(p.grad is not None for name, p in net.named_parameters() if not name.startswith("bn_data"))
    assert all(torch.equal(value, before[key]) for key, value in net.bn_data.state_dict().items())
    assert not net.bn_data.training


def test_the_input_is_normalised_as_published_weights_expect():
    net = catalogue.build(architecture(MOBILENET_V2, shape=(3, 8, 8))).train()
    image = torch.rand(1, 3, 8, 8)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(net.bn_data(image * 255), (image - mean) / std, atol=1e-5, rtol=1e-5)


def test_grey_images_are_normalised_by_the_average():
    net = catalogue.build(architecture(RESNET, 18, 2, (1, 32, 32)))
    assert net.bn_data.running_mean.tolist() == pytest.approx([255 * (0.485 + 0.456 + 0.406) / 3])


def test_one_stride_of_a_bottleneck_is_in_its_3x3():
    net = catalogue.empty(architecture(RESNET, 50))
    assert (net.layer2_0_conv1.stride, net.layer2_0_conv2.stride) == ((1, 1), (2, 2))


@pytest.mark.parametrize(
    ("network", "depth", "shape", "reason"),
    [
        ("vgg", 16, (3, 224, 224), "network 'vgg' is not offered; choose one of preact_resnet, resnet"),
        (RESNET, 20, (3, 224, 224), "num_layers 20 of resnet is not offered"),
        (SQUEEZENET, 0, (3, 24, 24), "is too small: squeezenet1_1 takes 25 pixels"),
    ],
)
def test_networks_that_are_not_there(network, depth, shape, reason):
    with pytest.raises(ArchitectureError, match=reason):
        Architecture.of(depth, 2, shape, network)


def test_the_smallest_squeezenet_answers():
    net = catalogue.build(architecture(SQUEEZENET, classes=2, shape=(3, 25, 25))).eval()
    assert net(torch.zeros(1, 3, 25, 25)).shape == (1, 2)
