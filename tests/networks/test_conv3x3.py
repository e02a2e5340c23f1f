"""The quick convolution against torch's own in double precision: answers and gradients, on every kind of processor."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks import catalogue, conv3x3, native
from darkroom.networks.architecture import Architecture
from darkroom.networks.conv3x3 import convolved
from tests.networks import sameness
from tests.networks.sameness import all_equal, by_threads, exit_code_of_child

SHAPES = [  # images, inputs, outputs, height, width
    (2, 32, 32, 16, 16),
    (4, 16, 16, 9, 20),
    (1, 64, 64, 33, 27),
    (3, 48, 80, 13, 21),
    (8, 32, 96, 7, 7),
    (5, 128, 112, 14, 15),
    (9, 256, 512, 7, 6),
    (32, 32, 32, 5, 1),
    (40, 64, 32, 1, 1),
]
ROUNDING = 5e-5  # of the largest number; torch's own is a tenth of that
near = partial(sameness.near, rounding=ROUNDING)

needs_native = pytest.mark.skipif(not conv3x3.is_native(), reason="conv3x3.c was not built, or not for this processor")


@pytest.fixture(params=[count for count in (16, 8) if count <= native.lanes()])
def lanes(request: Any, monkeypatch: Any) -> None:
    """AVX-512's registers of 16 numbers and AVX2's of 8, as far as this processor has them."""
    monkeypatch.setattr(conv3x3, "lanes", lambda: request.param)


def layer(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return conv.to(memory_format=torch.channels_last)


def pixels(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


@needs_native
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("filters", [torch.channels_last, torch.contiguous_format], ids=["last", "first"])
def test_it_is_what_torch_computes(shape: tuple[int, ...], filters: Any, lanes: None, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    images, inputs, outputs, height, width = shape
    conv = layer(inputs, outputs).to(memory_format=filters)
    exact = layer(inputs, outputs).double()
    exact.load_state_dict(conv.state_dict())
    x, gradient = pixels(images, inputs, height, width).requires_grad_(), pixels(images, outputs, height, width)
    z = x.detach().double().requires_grad_()
    monkeypatch.setattr(conv, "forward", None)  # nothing may fall back unseen
    y, w = convolved(conv, x), exact(z)
    y.backward(gradient)
    w.backward(gradient.double())
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert near(y, w)
    assert near(x.grad, z.grad)
    assert near(conv.weight.grad, exact.weight.grad)


@needs_native
@pytest.mark.parametrize("shape", [(4, 32, 64, 30, 30), (6, 128, 128, 9, 9)], ids=str)
def test_the_number_of_threads_changes_no_bit(shape: tuple[int, ...], lanes: None) -> None:
    torch.manual_seed(0)
    images, inputs, outputs, height, width = shape
    conv, x = layer(inputs, outputs), pixels(images, inputs, height, width).requires_grad_()
    gradient = pixels(images, outputs, height, width)

    def compute() -> list[Tensor | None]:
        x.grad = conv.weight.grad = None
        y = convolved(conv, x)
        y.backward(gradient)
        return [y, x.grad, conv.weight.grad]

    assert all_equal(by_threads(compute))


@needs_native
@pytest.mark.parametrize("shape", [(3, 32, 64, 13, 22), (2, 128, 128, 16, 16)], ids=str)
def test_what_goes_past_is_added(shape: tuple[int, ...], lanes: None) -> None:
    torch.manual_seed(0)
    images, inputs, outputs, height, width = shape
    conv, x, more = (
        layer(inputs, outputs),
        pixels(images, inputs, height, width),
        pixels(images, outputs, height, width),
    )
    more.requires_grad_()
    y = convolved(conv, x, more)
    assert near(y, (conv(x) + more).double())
    gradient = pixels(*y.shape)
    y.backward(gradient)
    assert more.grad is not None
    assert torch.equal(more.grad, gradient)
    assert near(convolved(conv.eval(), x, more.detach()), y.double())


@needs_native
def test_only_what_is_asked_for_is_computed() -> None:
    conv, x = layer(32, 32), pixels(2, 32, 16, 16)
    convolved(conv, x).sum().backward()
    assert x.grad is None
    assert conv.weight.grad is not None
    conv.weight.requires_grad_(False).grad = None
    convolved(conv, x.requires_grad_()).sum().backward()
    assert conv.weight.grad is None
    assert x.grad is not None


@needs_native
def test_what_is_no_number_is_told_on() -> None:
    x = pixels(2, 32, 16, 16)
    x[1, 3, 8, 8] = float("nan")
    y = convolved(layer(32, 32), x).detach()
    assert y[1, :, 7:10, 7:10].isnan().all()
    assert y[0].isfinite().all()


@needs_native
def test_a_forked_child_has_threads_of_its_own() -> None:
    x, conv = pixels(4, 32, 32, 32), layer(32, 32)
    assert exit_code_of_child(lambda: convolved(conv, x)) == 0


CHANGES = {
    "evaluation": lambda conv, x: (conv.eval(), x),
    "double": lambda conv, x: (conv.double(), x.double()),
    "contiguous": lambda conv, x: (conv, x.contiguous()),
    "bias": lambda conv, x: (nn.Conv2d(32, 32, 3, padding=1), x),
    "groups": lambda conv, x: (nn.Conv2d(32, 32, 3, padding=1, bias=False, groups=2), x),
    "dilation": lambda conv, x: (nn.Conv2d(32, 32, 3, padding=1, bias=False, dilation=2), x),
    "no border": lambda conv, x: (nn.Conv2d(32, 32, 3, bias=False), x),
    "5x5": lambda conv, x: (nn.Conv2d(32, 32, 5, padding=1, bias=False), x),
    "few channels": lambda conv, x: (nn.Conv2d(3, 32, 3, padding=1, bias=False), x[:, :3]),
    "odd channels": lambda conv, x: (nn.Conv2d(32, 40, 3, padding=1, bias=False), x),
    "few pixels": lambda conv, x: (conv, x[:1, :, :4, :4]),
    "no images": lambda conv, x: (conv, x[:0]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_else_is_left_to_torch(change: Any) -> None:
    torch.manual_seed(0)
    conv, x = change(layer(32, 32), pixels(4, 32, 16, 16))
    assert torch.equal(convolved(conv, x), conv(x))


@needs_native
@pytest.mark.parametrize(("name", "layers"), [("preact_resnet", 18), ("preact_resnet", 50), ("resnet", 18)])
def test_networks_learn_the_same_with_and_without_it(name: str, layers: int, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    architecture = Architecture.of(layers, 5, (3, 96, 96), name)
    images, labels = torch.randint(0, 256, (8, 3, 96, 96), dtype=torch.uint8), torch.arange(8) % 5
    images = images.contiguous(memory_format=torch.channels_last)
    used = []
    convolve = conv3x3._convolve
    monkeypatch.setattr(conv3x3, "_convolve", lambda *given: used.append(1) or convolve(*given))

    def learn() -> tuple[Tensor, dict[str, Tensor]]:
        net = catalogue.build(architecture, torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last)
        logits = net.train()(images)
        functional.cross_entropy(logits, labels).backward()
        return logits.detach(), {key: weight.grad for key, weight in net.named_parameters() if weight.grad is not None}

    logits, gradients = learn()
    assert used
    monkeypatch.setattr(conv3x3, "lanes", lambda: 0)
    expected, known = learn()
    assert torch.allclose(logits, expected, rtol=1e-2, atol=1e-2)
    assert gradients.keys() == known.keys()
    whole, off = (
        sum(float(g.square().sum()) for g in each)
        for each in (known.values(), (gradients[key] - known[key] for key in known))
    )
    assert off < 1e-3 * whole
