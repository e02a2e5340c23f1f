"""One way to train in a process of its own: ``python trainers.py KIND FOLDER LAYERS SIDE BATCH``; then a line with the
seconds of one step for every line it is sent.

Any interpreter that has the engine runs it; imports nothing else at the top.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP, STEPS = 3, 2
CLASSES = 257
MOMENTUM, RATE, DECAY = 0.9, 0.01, 0.0001
Step = Callable[[], object]


def ours(folder: str, layers: int, side: int, batch: int) -> Step:
    """The algorithm's own step, as its jobs run it with precision_dtype float16."""
    from darkroom.algorithm.learner import cpu_flags, device, half_precision

    return _learning(half_precision(device().type, cpu_flags()), layers, side, batch)


def ours_fp32(folder: str, layers: int, side: int, batch: int) -> Step:
    return _learning(None, layers, side, batch)


def _learning(half: Any, layers: int, side: int, batch: int) -> Step:
    import torch

    from darkroom.algorithm.hyperparameters import parse
    from darkroom.algorithm.learner import Learner, device
    from darkroom.networks import resnet

    settings = {"num_layers": layers, "image_shape": f"3,{side},{side}", "num_classes": CLASSES, "optimizer": "sgd"}
    settings |= {"num_training_samples": 1000, "mini_batch_size": batch, "momentum": MOMENTUM, "weight_decay": DECAY}
    values = parse({name: str(value) for name, value in settings.items()}, False)
    torch.manual_seed(0)
    learner = Learner(resnet.build(layers, CLASSES, (3, side, side)), values, device(), half)
    images, labels = _images(side, batch), _labels(batch)
    return lambda: float(learner.update(images, labels, RATE)[0].sum())


def torch_eager(folder: str, layers: int, side: int, batch: int) -> Step:
    """As torch comes: fp32, contiguous tensors, its own SGD."""
    return _eager(False, layers, side, batch)


def torch_half(folder: str, layers: int, side: int, batch: int) -> Step:
    """As torchvision's and timm's reference loops make it fast: autocast to 16 bits, channels_last."""
    return _eager(True, layers, side, batch)


def _eager(half: bool, layers: int, side: int, batch: int) -> Step:
    import torch

    from darkroom.networks import batch_norm, resnet

    batch_norm.library = lambda: None  # torch's own layers
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    net = resnet.build(layers, CLASSES, (3, side, side)).train().to(kind)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    images = torch.from_numpy(np.ascontiguousarray(_images(side, batch).transpose(0, 3, 1, 2))).float().to(kind)
    labels = torch.from_numpy(_labels(batch)).to(kind)
    if half:
        net, images = (it.to(memory_format=torch.channels_last) for it in (net, images))
        torch.backends.cudnn.benchmark = True
    scaler = torch.amp.GradScaler(kind, enabled=half and kind == "cuda")
    sixteen = torch.float16 if kind == "cuda" else torch.bfloat16

    def step() -> object:
        optimizer.zero_grad()
        with torch.autocast(kind, sixteen, enabled=half):
            logits = net(images)
        scaler.scale(torch.nn.functional.cross_entropy(logits.float(), labels)).backward()
        scaler.step(optimizer)
        scaler.update()
        return float(logits.detach().sum())

    return step


def mxnet(folder: str, layers: int, side: int, batch: int) -> Step:
    """MXNet's Module, as the algorithm's users know it."""
    import mxnet as mx

    symbol = mx.sym.load(f"{folder}/image-classification-symbol.json")
    module = mx.mod.Module(symbol, label_names=["softmax_label"])
    module.bind(data_shapes=[("data", (batch, 3, side, side))], label_shapes=[("softmax_label", (batch,))])
    module.init_params(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    settings = {"learning_rate": RATE, "momentum": MOMENTUM, "wd": DECAY}
    module.init_optimizer(optimizer="sgd", optimizer_params=settings)
    images = mx.nd.array(np.ascontiguousarray(_images(side, batch).transpose(0, 3, 1, 2)))
    data = mx.io.DataBatch([images], [mx.nd.array(_labels(batch))])

    def step() -> object:
        module.forward_backward(data)
        module.update()
        mx.nd.waitall()
        return float(module.get_outputs()[0].sum().asscalar())

    return step


TRAINERS = {"ours": ours, "ours-fp32": ours_fp32, "torch": torch_eager, "torch-half": torch_half, "mxnet": mxnet}


def _images(side: int, batch: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (batch, side, side, 3)).astype(np.uint8)


def _labels(batch: int) -> np.ndarray:
    return np.random.RandomState(1).randint(0, CLASSES, batch).astype(np.int64)


def serve(kind: str, folder: str, layers: int, side: int, batch: int) -> None:
    step = TRAINERS[kind](folder, layers, side, batch)
    for _ in range(WARM_UP):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        times = []
        for _ in range(STEPS):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], *(int(word) for word in sys.argv[3:]))
