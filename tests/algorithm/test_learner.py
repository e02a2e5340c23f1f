"""One network that learns: memory layout, precision, and which 16-bit type is worth its while."""

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.algorithm.hosts import Alone
from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.learner import Learner, cpu_flags, half_precision

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc1 = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.seen = []

    def forward(self, x):
        y = self.conv(x / 255)
        self.seen.append((x.dtype, x.is_contiguous(memory_format=torch.channels_last), y.dtype))
        return self.fc1(y.mean((2, 3)))


def learner(half=None, **given):
    torch.manual_seed(0)
    return Learner(Net(), parse({"num_classes": "2"} | given), torch.device("cpu"), half)


def test_batches_reach_the_network_channels_last_in_float32():
    it = learner()
    logits, labels = it.update(IMAGES, LABELS, 0.1)
    assert (logits.shape, logits.dtype, logits.requires_grad, labels.tolist()) == (
        (4, 2),
        torch.float32,
        False,
        [0, 1, 0, 1],
    )
    assert it.network.seen == [(torch.float32, True, torch.float32)]


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])  # fp16 scales its gradients
def test_mixed_precision_trains_in_16_bits_and_scores_in_32(half):
    it = learner(half)
    before = it.network.fc1.weight.detach().clone()
    assert it.update(IMAGES, LABELS, 0.1)[0].dtype == torch.float32
    it.score(IMAGES)
    assert [seen[2] for seen in it.network.seen] == [half, torch.float32]
    assert it.network.fc1.weight.dtype == torch.float32
    assert not torch.equal(it.network.fc1.weight, before)


def test_updates_lower_the_loss():
    it = learner()
    losses = []
    for _ in range(30):
        logits, labels = it.update(IMAGES, LABELS, 0.1)
        losses.append(it.loss(logits, labels).item())
    assert losses[-1] < losses[0] * 0.99


@pytest.mark.parametrize("optimizer", ["sgd", "nag", "adam", "rmsprop"])
@pytest.mark.parametrize("half", [None, torch.float16])
def test_another_learner_with_the_same_state_goes_on_alike(optimizer, half):
    first, second = learner(half, optimizer=optimizer), learner(half, optimizer=optimizer)
    for _ in range(3):
        first.update(IMAGES, LABELS, 0.01)
    kept = {name: tensor.clone() for name, tensor in first.state().items()}
    second.restore(kept)
    second.losses = first.losses
    for it in (first, second):
        for _ in range(2):
            it.update(IMAGES, LABELS, 0.01)
    assert first.losses == second.losses
    ours, theirs = first.state(), second.state()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert int(ours["optimizer.count"]) == 5
    assert ("scaler" in ours) == (half is not None)
    assert any(not torch.equal(ours[name], kept[name]) for name in ours)


def test_state_of_another_network_or_optimizer_is_refused():
    state = learner().state()
    with pytest.raises(ValueError, match=r"optimizer\.(mean|square|momentum)\S* is only in the (job|checkpoint)"):
        learner(optimizer="adam").restore(state)
    with pytest.raises(ValueError, match=r"fc1\.bias is \(3,\) torch\.float32"):
        learner().restore(state | {"fc1.bias": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"fc1\.bias is \(2,\) torch\.float64"):
        learner().restore(state | {"fc1.bias": torch.zeros(2, dtype=torch.float64)})


def test_an_empty_batch_changes_nothing():
    it = learner()
    before = {name: tensor.clone() for name, tensor in it.state().items()}
    logits, labels = it.update(IMAGES[:0], LABELS[:0], 0.1)
    assert (logits.shape, len(labels)) == ((0, 2), 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in it.state().items())


class Others(Alone):
    """Other processes, whose gradients are ones and count as much as a batch of four."""

    def averaging(self, weights, others):
        self.weights = weights
        return self

    def begin(self, weight):
        self.own = weight

    def end(self):
        for weight in self.weights:
            own = torch.zeros_like(weight) if weight.grad is None else weight.grad
            weight.grad = (own * self.own + 4) / (self.own + 4)
        return True


@pytest.mark.parametrize("half", [None, torch.bfloat16, torch.float16])
def test_a_process_without_images_makes_the_update_of_the_others(half):
    torch.manual_seed(0)
    it = Learner(Net(), parse({"num_classes": "2"}), torch.device("cpu"), half, hosts=Others())
    before = it.network.fc1.weight.detach().clone()
    for images in (0, 4):  # the first batch of all, too
        it.update(IMAGES[:images], LABELS[:images], 0.1)
        assert not torch.equal(it.network.fc1.weight, before)
        before = it.network.fc1.weight.detach().clone()
    assert it.losses[1] == 1


def test_several_labels_are_judged_one_by_one():
    it = learner(multi_label="1")
    logits = torch.tensor([[2.0, -1.0]])
    p = torch.sigmoid(logits)
    assert it.loss(logits, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(
        -(p[0, 0].log() + (1 - p[0, 1]).log()).item() / 2
    )


@pytest.mark.parametrize(
    ("device", "flags", "expected"),
    [
        ("cuda", set(), torch.float16),
        ("cpu", {"avx512f", "avx512_bf16"}, torch.bfloat16),
        ("cpu", {"asimd", "bf16"}, torch.bfloat16),
        ("cpu", {"avx512f", "avx512_vnni"}, None),
        ("cpu", set(), None),
    ],
)
def test_sixteen_bits_only_where_they_are_faster(device, flags, expected):
    assert half_precision(device, flags) is expected


def test_flags_of_the_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    assert cpu_flags(path) == set()
    path.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert cpu_flags(path) == {"fpu", "avx512_bf16"}
    path.write_text("processor : 0\nFeatures  : fp asimd bf16\n")
    assert cpu_flags(path) == {"fp", "asimd", "bf16"}
