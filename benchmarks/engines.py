"""One engine in a process of its own: ``python engines.py KIND PATH``, then a line of times for every line it is sent.

Any interpreter that has the engine runs it; imports nothing else at the top.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIZE = 224
THREADS = 2
WARM_UP, CALLS = 8, 3
Call = Callable[[], object]


def photo() -> np.ndarray:
    """uint8 (1, height, width, 3)."""
    return np.random.RandomState(0).randint(0, 256, (1, SIZE, SIZE, 3)).astype(np.uint8)


def channels_first() -> np.ndarray:
    return np.ascontiguousarray(photo().transpose(0, 3, 1, 2)).astype(np.float32)


def torch_eager(path: str) -> Call:
    """As torch comes: fp32, contiguous tensors."""
    import torch

    from darkroom.networks import artifact

    torch.set_num_threads(THREADS)
    net = artifact.load(path).net.to(memory_format=torch.contiguous_format)
    pixels = torch.from_numpy(channels_first())

    def call() -> object:
        with torch.inference_mode():
            return net(pixels).softmax(1).numpy()

    return call


def torch_channels_last(path: str) -> Call:
    """As the endpoint of an uncompiled model runs it."""
    import torch

    from darkroom.networks import artifact

    torch.set_num_threads(THREADS)
    net = artifact.load(path).net.to(memory_format=torch.channels_last)
    pixels = torch.from_numpy(photo())

    def call() -> object:
        with torch.inference_mode():
            return net(pixels.permute(0, 3, 1, 2).float()).softmax(1).numpy()

    return call


def mxnet(path: str) -> Call:
    import mxnet as mx

    symbol, arguments, states = mx.model.load_checkpoint(f"{path}/image-classification", 1)
    module = mx.mod.Module(symbol, label_names=["softmax_label"])
    module.bind(for_training=False, data_shapes=[("data", (1, 3, SIZE, SIZE))])
    module.set_params(arguments, states)
    batch = mx.io.DataBatch([mx.nd.array(channels_first())])

    def call() -> object:
        module.forward(batch, is_train=False)
        return module.get_outputs()[0].asnumpy()

    return call


def ours(path: str) -> Call:
    """A compiled artifact in the runtime that serves it."""
    from darkroom.runtimes import artifact, registry
    from darkroom.runtimes.base import Settings

    record = artifact.read(Path(path))
    model = registry.load_verified(record, Settings(THREADS, precision=record.precision))[1]
    pixels = photo()
    return lambda: model.predict(pixels)


def ours_without_matrices(path: str) -> Call:
    """The same on a processor without AMX."""
    from darkroom.runtimes import native

    native.has_matrices = lambda: False
    return ours(path)


def openvino(path: str) -> Call:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape([1, SIZE, SIZE, 3])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    pixels = photo()

    def call() -> object:
        request.infer([pixels], share_inputs=True)
        return request.get_output_tensor(0).data

    return call


def onnxruntime(path: str) -> Call:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: photo()}
    return lambda: session.run(None, feed)


ENGINES = {
    "torch": torch_eager,
    "torch-channels-last": torch_channels_last,
    "mxnet": mxnet,
    "ours": ours,
    "ours-without-matrices": ours_without_matrices,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}


def serve(kind: str, path: str) -> None:
    call = ENGINES[kind](path)
    for _ in range(WARM_UP):
        call()
    print("ready", flush=True)
    for _ in sys.stdin:
        call()  # its threads have slept while the others ran
        times = []
        for _ in range(CALLS):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
