"""Parameter counts are those of MXNet's own networks (argument arrays, and moving statistics apart)."""

import pytest
import torch

from darkroom.networks.architecture import DEPTHS, Architecture, ArchitectureError
from darkroom.networks.resnet import build, empty

# depth: (arguments with 1000 classes, auxiliaries, argument arrays, auxiliary arrays) at 3x224x224
IMAGENET = {
    18: (11_691_950, 7_942, 61, 38),
    34: (21_800_110, 15_366, 109, 70),
    50: (25_549_486, 45_574, 157, 102),
    101: (44_541_614, 97_798, 310, 204),
    152: (60_185_262, 143_878, 463, 306),
    200: (64_666_286, 168_454, 607, 402),
}
# the same with 10 classes at 3x28x28
CIFAR = {
    20: (272_544, 1_382, 64, 40),
    32: (466_976, 2_278, 100, 64),
    44: (661_408, 3_174, 136, 88),
    56: (855_840, 4_070, 172, 112),
    110: (1_730_784, 8_102, 334, 220),
}


def counts(net: torch.nn.Module) -> tuple[int, int, int, int]:
    arguments = list(net.parameters())
    auxiliaries = [buffer for buffer in net.buffers() if buffer.ndim]
    sizes = [sum(tensor.numel() for tensor in group) for group in (arguments, auxiliaries)]
    return (*sizes, len(arguments), len(auxiliaries))


@pytest.mark.parametrize("depth", IMAGENET)
def test_imagenet_depths_have_mxnets_parameters(depth):
    assert counts(empty(Architecture.of(depth, 1000, (3, 224, 224)))) == IMAGENET[depth]


@pytest.mark.parametrize("depth", CIFAR)
def test_cifar_depths_have_mxnets_parameters(depth):
    assert counts(empty(Architecture.of(depth, 10, (3, 28, 28)))) == CIFAR[depth]


@pytest.mark.parametrize(("depth", "classes", "expected"), [(18, 257, 11_310_791), (50, 2, 23_504_584)])
def test_other_class_counts_change_the_last_layer_only(depth, classes, expected):
    assert counts(empty(Architecture.of(depth, classes, (3, 224, 224))))[0] == expected


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("height", [32, 33])
def test_every_depth_takes_small_and_large_images(depth, height):
    images = torch.empty((2, 3, height, height), device="meta")
    assert empty(Architecture.of(depth, 7, (3, height, height))).eval()(images).shape == (2, 7)


def test_the_stem_pools_above_32_pixels():
    images = torch.empty((1, 3, 64, 64), device="meta")
    small, large = (empty(Architecture(18, 2, (3, 64, 64), small_stem=small)) for small in (True, False))
    assert (small.conv0(images).shape[-1], large.conv0(images).shape[-1]) == (64, 32)


def test_uint8_views_of_interleaved_pixels_equal_planar_floats():
    net = build(20, 3, (3, 32, 32), generator=torch.Generator().manual_seed(1)).eval()
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    planar = pixels.permute(0, 3, 1, 2).float().contiguous()
    with torch.inference_mode():
        torch.testing.assert_close(net(pixels.permute(0, 3, 1, 2)), net(planar))


def test_one_channel_and_bf16_autocast():
    net = build(20, 3, (1, 28, 28), generator=torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last)
    images = torch.rand((4, 1, 28, 28), generator=torch.Generator().manual_seed(2)) * 255
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = torch.nn.functional.cross_entropy(net(images), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.requires_grad)
    assert [name for name, p in net.named_parameters() if p.grad is None] == ["bn_data.weight"]


def test_initialisation_is_gaussian_by_fan_in_and_reproducible():
    first, second = (build(18, 10, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    for (name, one), two in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    weight = first.stage3_unit1.conv2.weight  # fan in 256 * 9
    assert weight.std().item() == pytest.approx((2 / 2304) ** 0.5, rel=0.01)
    assert abs(weight.mean().item()) < 1e-3
    assert not first.fc1.bias.any()
    assert first.bn1.running_var.eq(1).all()


@pytest.mark.parametrize(
    ("depth", "classes", "shape", "text"),
    [
        (19, 2, (3, 224, 224), "num_layers 19 is not offered; choose one of"),
        (18, 0, (3, 224, 224), "num_classes 0"),
        (18, 2, (3, 0, 224), "image_shape"),
    ],
)
def test_what_is_not_offered_is_named(depth, classes, shape, text):
    with pytest.raises(ArchitectureError, match=text):
        Architecture.of(depth, classes, shape)
