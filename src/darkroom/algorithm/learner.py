"""One network that learns: the loss of a batch, the update it causes, and scores without either.

Knows devices, precision and memory layout, so that the loop around it need not. Batches come as uint8
(N, height, width, channels), which is a channels_last image tensor with nothing moved.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.algorithm import optimizers
from darkroom.algorithm.hosts import ALONE, Hosts
from darkroom.algorithm.hyperparameters import Hyperparameters

FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # what Linux calls it on x86 and Arm


class Learner:
    """``network`` takes (N, C, H, W) in 0 … 255 and gives logits (N, classes).

    ``half`` is the 16-bit type to compute in where that loses nothing (mixed precision); None: float32 throughout.
    ``positive_weight`` (classes,) belongs to use_weighted_loss. ``guard`` is held while an update may be broken off.
    """

    def __init__(
        self,
        network: nn.Module,
        values: Hyperparameters,
        device: torch.device,
        half: torch.dtype | None = None,
        positive_weight: Tensor | None = None,
        hosts: Hosts = ALONE,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)
        self.device = device
        self.optimizer = optimizers.build(self.network, values)
        self._multi_label = bool(values.multi_label)
        self._positive_weight = None if positive_weight is None else positive_weight.to(device)
        self._half, self._classes = half, values.num_classes
        learning = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._averaging = hosts.averaging(learning, self._statistics())
        self._guard = guard
        self._earlier: list[tuple[Tensor, Tensor]] = []  # statistics and what they were before the update in hand
        self._losses: Tensor | float = 0.0
        self._updates = 0
        # fp16 needs its gradients scaled to stay above zero; bf16 has float32's range
        self._scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)

    def update(self, images: np.ndarray, labels: np.ndarray, learning_rate: float) -> tuple[Tensor, Tensor]:
        """One step on a batch, whose gradient is averaged over all processes. Returns logits (N, classes) float32 and
        the labels, both on the device. The batch may be empty."""
        self.network.train()
        self.optimizer.set_learning_rate(learning_rate)
        self.optimizer.zero_grad(set_to_none=True)
        self._earlier = [(buffer, buffer.clone()) for buffer in self._statistics()]
        x, y = self._put(images), torch.from_numpy(labels).to(self.device, non_blocking=True)
        self._averaging.begin(len(images))
        with self._guard():
            logits, loss = self._gradients(x, y)
        if self._averaging.end():
            self._scaler.step(self.optimizer)
            self._scaler.update()
        self._earlier = []
        if loss is not None:
            self._losses, self._updates = self._losses + loss, self._updates + 1
        return logits, y

    @torch.no_grad()
    def undo(self) -> None:
        """Where ``update`` was broken off before the weights changed: statistics as they were before it, too."""
        for buffer, earlier in self._earlier:
            buffer.copy_(earlier)

    def _gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits and loss; the gradients are at the weights."""
        if not len(x):
            self._scaler.scale(torch.zeros((), device=self.device))  # it may not step before it has scaled something
            return torch.empty((0, self._classes), device=self.device), None
        with self._autocast():
            logits = self.network(x).float()
        loss = self.loss(logits, y)
        self._scaler.scale(loss).backward()
        return logits.detach(), loss.detach()

    def _statistics(self) -> list[Tensor]:
        """Of normalisation."""
        return [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]

    def state(self) -> dict[str, Tensor]:
        """All that the next update depends on, by name: weights, statistics, the optimizer's memory. The tensors are
        its own, not copies, but for the numbers."""
        numbers = {"optimizer.count": torch.tensor(self.optimizer.count)}
        if self._scaler.is_enabled():
            scaler = self._scaler.state_dict()
            numbers["scaler"] = torch.tensor([scaler["scale"], scaler["_growth_tracker"]], dtype=torch.float64)
        return dict(self._tensors()) | numbers

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another was. Raises ValueError where the tensors are not those of such a network."""
        own = self.state()
        for name in own.keys() | state.keys():
            if name not in own or name not in state:
                raise ValueError(f"{name} is only in {'the job' if name in own else 'the checkpoint'}")
            if (state[name].shape, state[name].dtype) != (own[name].shape, own[name].dtype):
                raise ValueError(f"{name} is {tuple(state[name].shape)} {state[name].dtype}")
        for name, tensor in self._tensors():
            tensor.copy_(state[name])
        self.optimizer.count = int(state["optimizer.count"])
        if self._scaler.is_enabled():
            scale, tracker = state["scaler"].tolist()
            self._scaler.load_state_dict(self._scaler.state_dict() | {"scale": scale, "_growth_tracker": int(tracker)})

    @property
    def losses(self) -> tuple[float, int]:
        """Sum of the losses of the batches so far, and their number; an epoch sets them to 0. Waits for the device."""
        return float(self._losses), self._updates

    @losses.setter
    def losses(self, known: tuple[float, int]) -> None:
        self._losses, self._updates = torch.tensor(known[0], device=self.device), known[1]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.network.state_dict().items()
        for name, weight in self.network.named_parameters():
            for memory, tensor in self.optimizer.state.get(weight, {}).items():
                yield f"optimizer.{memory}.{name}", tensor

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of one class, or of every class against not having it; averaged over the batch."""
        if self._multi_label:
            return functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=self._positive_weight)
        return functional.cross_entropy(logits, labels)

    @torch.inference_mode()
    def score(self, images: np.ndarray) -> Tensor:
        """Logits (N, classes) in float32 whatever the training precision: so the endpoint will compute them."""
        self.network.eval()
        return self.network(self._put(images))

    def _put(self, images: np.ndarray) -> Tensor:
        batch = torch.from_numpy(images)
        if self.device.type == "cuda":
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        return batch.permute(0, 3, 1, 2).to(torch.float32)  # strides stay NHWC: channels_last

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, self._half) if self._half else nullcontext()


def device(rank: int = 0) -> torch.device:
    """Where to compute, from now on; processes on one machine with several GPUs take them in turn."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    where = torch.device("cuda", rank % torch.cuda.device_count())
    torch.cuda.set_device(where)  # else what is pinned takes memory of the first one, too
    return where


def half_precision(device_type: str, cpu_flags: Set[str]) -> torch.dtype | None:
    """The 16-bit type that is faster than float32 there: fp16 on a GPU, bf16 on a CPU that has instructions for it.

    Without them bf16 is emulated: a ResNet-18 then trains four times slower than in float32.
    """
    if device_type == "cuda":
        return torch.float16
    return torch.bfloat16 if cpu_flags & FAST_BF16 else None


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> Set[str]:
    """What the processor can do, in Linux's words; empty where the system does not say."""
    if not cpuinfo.exists():
        return set()
    named = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    return next((set(words.split()) for name, _, words in named if name.strip() in ("flags", "Features")), set())
