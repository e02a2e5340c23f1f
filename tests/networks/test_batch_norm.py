"""The native way against torch's own layers in double precision: answers, gradients and what the layer remembers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks import batch_norm, catalogue
from darkroom.networks.architecture import Architecture
from darkroom.networks.batch_norm import normalised, normalised_relu
from tests.networks import sameness
from tests.networks.sameness import all_equal, by_threads, exit_code_of_child

SHAPES = [(3, 4, 17, 9), (16, 8, 9, 9), (64, 40, 17, 17), (100, 3, 5, 7), (257, 2, 6, 6), (2048, 2, 3, 3), (1, 3, 4, 4)]
CLAMPS = {"relu": None, "relu6": 6.0, "none": math.inf}
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-8}  # of the largest number

needs_native = pytest.mark.skipif(not batch_norm.is_native(), reason="batch_norm.c was not built: no C compiler")


def layer(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=2e-5)
    with torch.no_grad():
        norm.weight.normal_().mul_(3)
        norm.bias.normal_()
    return norm


def photos(channels: int, images: int, height: int, width: int) -> Tensor:
    return (torch.randn(images, channels, height, width) * 2 + 50).contiguous(memory_format=torch.channels_last)


def ours(norm: nn.BatchNorm2d, x: Tensor, clamp: str) -> Tensor:
    return normalised(norm, x) if clamp == "none" else normalised_relu(norm, x, CLAMPS[clamp])


def torchs(norm: nn.BatchNorm2d, x: Tensor, clamp: str) -> Tensor:
    y = norm(x)
    return y if clamp == "none" else functional.relu(y) if clamp == "relu" else functional.relu6(y)


def near(found: Tensor | None, expected: Tensor | None, kind: torch.dtype = torch.float32) -> bool:
    """Within the rounding of such numbers."""
    return sameness.near(found, expected, ROUNDING[kind])


def assert_same(
    shape: tuple[int, int, int, int], ours: Any, torchs: Any, monkeypatch: Any, kind: torch.dtype = torch.float32
) -> None:
    """Answers, gradients and what the layer remembers, of a layer in float32 and of its twin in double precision. Of
    images in 16 bits only what is in 16 bits itself is rounded so."""
    torch.manual_seed(0)
    norm = layer(shape[0])
    exact = nn.BatchNorm2d(shape[0], eps=2e-5).double()
    exact.load_state_dict(norm.state_dict())
    x = photos(*shape).to(kind).requires_grad_()
    z = x.detach().double().requires_grad_()
    monkeypatch.setattr(norm, "forward", None)  # nothing may fall back unseen
    y, w = ours(norm, x), torchs(exact, z)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    w.backward(gradient.double())
    assert (y.dtype, x.grad.dtype) == (kind, kind)
    assert near(y, w, kind)
    assert near(x.grad, z.grad, kind)
    assert near(norm.weight.grad, exact.weight.grad)
    assert near(norm.bias.grad, exact.bias.grad)
    assert near(norm.running_mean, exact.running_mean)
    assert near(norm.running_var, exact.running_var)
    assert norm.num_batches_tracked == 1


@needs_native
@pytest.mark.parametrize("kind", ROUNDING, ids=str)
@pytest.mark.parametrize("clamp", CLAMPS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_what_torch_computes(
    shape: tuple[int, int, int, int], clamp: str, kind: torch.dtype, monkeypatch: Any
) -> None:
    assert_same(shape, lambda n, x: ours(n, x, clamp), lambda n, x: torchs(n, x, clamp), monkeypatch, kind)


@needs_native
@pytest.mark.parametrize("kind", ROUNDING, ids=str)
@pytest.mark.parametrize("used", ["both", "past only", "active only"])
def test_what_goes_past_is_added_on_the_way_back(used: str, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x, norm = photos(24, 5, 11, 11).to(kind).requires_grad_(), layer(24)
    gradient, other = torch.randn_like(x), torch.randn_like(x)
    active, past = batch_norm.normalised_relu_beside(norm, x)
    assert torch.equal(past, x)
    wanted = {"both": (active * gradient).sum() + (past * other).sum()}
    wanted |= {"past only": (past * other).sum(), "active only": (active * gradient).sum()}
    wanted[used].backward()
    z = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    alone = normalised_relu(norm, z)
    (alone * gradient).sum().backward()
    assert z.grad is not None
    expected = {"both": z.grad + other, "past only": other, "active only": z.grad}[used]
    assert near(x.grad, expected.double(), kind)


@needs_native
@pytest.mark.parametrize("kind", ROUNDING, ids=str)
def test_the_number_of_threads_changes_no_bit(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x, norm = photos(48, 16, 40, 40).to(kind).requires_grad_(), layer(48)
    gradient = torch.randn(x.shape).to(kind)

    def compute() -> list[Tensor | None]:
        x.grad = norm.weight.grad = None
        y = normalised_relu(norm, x)
        y.backward(gradient)
        return [y, x.grad, norm.weight.grad]

    assert all_equal(by_threads(compute))


@needs_native
def test_a_forked_child_has_threads_of_its_own() -> None:
    x, norm = photos(16, 64, 32, 32), layer(16)
    assert exit_code_of_child(lambda: normalised(norm, x)) == 0


@needs_native
@pytest.mark.parametrize("kind", ROUNDING, ids=str)
def test_what_is_no_number_is_told_on(kind: torch.dtype) -> None:
    x = photos(16, 2, 8, 8).to(kind)
    x[0, 3, 2, 2] = math.nan
    y = normalised(layer(16), x)
    assert y[:, 3].isnan().all()
    assert y[:, :3].isfinite().all()


@pytest.mark.parametrize(
    "change",
    [
        lambda norm, x: (norm.eval(), x),
        lambda norm, x: (norm.double(), x.double()),
        lambda norm, x: (norm, x.half()),
        lambda norm, x: (norm, x.contiguous()),
        lambda norm, x: (nn.BatchNorm2d(8, affine=False), x),
        lambda norm, x: (nn.BatchNorm2d(8, momentum=None), x),
        lambda norm, x: (nn.BatchNorm2d(8, track_running_stats=False), x),
    ],
    ids=["evaluation", "double", "float16", "contiguous", "not affine", "cumulative", "nothing tracked"],
)
def test_whatever_else_is_left_to_torch(change: Any) -> None:
    torch.manual_seed(0)
    norm, x = change(layer(8), photos(8, 3, 5, 5))
    expected = nn.functional.relu6(norm(x))
    fresh, _ = change(layer(8), x)
    fresh.load_state_dict(norm.state_dict())
    assert torch.allclose(normalised_relu(fresh, x, 6.0), expected, atol=1e-5)


@needs_native
def test_rounded_to_the_nearest_and_in_the_middle_to_the_even_one() -> None:
    norm = nn.BatchNorm2d(1, eps=0.0)
    x = torch.tensor([-1.0, 1.0] * 8).reshape(1, 1, 4, 4).bfloat16().contiguous(memory_format=torch.channels_last)
    for number in [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-9, 1 + 2**-8 + 2**-20, 3.0e38, 3.4e38, 1e-40]:
        with torch.no_grad():
            norm.weight.fill_(number)
        expected = torch.tensor([-number, number]).bfloat16()
        assert torch.equal(normalised(norm, x).flatten()[:2], expected), number


@needs_native
@pytest.mark.parametrize(("name", "layers"), [("preact_resnet", 20), ("resnet", 18), ("mobilenet_v2", 0)])
def test_networks_learn_the_same_with_and_without_it(name: str, layers: int, monkeypatch: Any) -> None:
    architecture = Architecture.of(layers or 18, 5, (3, 64, 64), name)
    images, labels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8), torch.tensor([0, 1, 2, 3])
    images = images.contiguous(memory_format=torch.channels_last)

    def learn() -> tuple[Tensor, dict[str, Tensor]]:
        net = catalogue.build(architecture, torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last)
        logits = net.train()(images)
        functional.cross_entropy(logits, labels).backward()
        return logits.detach(), {key: weight.grad for key, weight in net.named_parameters() if weight.grad is not None}

    logits, gradients = learn()
    monkeypatch.setattr(batch_norm, "library", lambda: None)
    expected, known = learn()
    assert torch.allclose(logits, expected, rtol=1e-3, atol=1e-3)
    assert gradients.keys() == known.keys()
    whole, off = (
        sum(float(g.square().sum()) for g in each)
        for each in (known.values(), (gradients[key] - known[key] for key in known))
    )
    assert off < 1e-4 * whole


def test_one_value_a_channel_is_refused_as_torch_refuses_it() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        normalised(layer(8), photos(8, 1, 1, 1))
