"""The same network for every engine: built once, compiled by us, and quantised by the tools that the peers ship.

Speed depends on shapes and not on what was learnt, so the weights are random; their statistics come from real photos,
so that ranges are those of a working network. Accuracy is another benchmark.
"""

import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.rows import Unavailable
from darkroom.compiler import targets
from darkroom.compiler.options import FP32, INT8, Options
from darkroom.compiler.package import compile_model
from darkroom.imaging.preprocess import Preprocess
from darkroom.networks import artifact, resnet

PHOTOS = Path(__file__).resolve().parents[1] / "examples" / "photos"
CLASSES, SIDE = 257, 224
CALIBRATION_PHOTOS = 300
PREPROCESS = Preprocess(SIDE, SIDE, 3)
ANYTHING_GOES = 100.0  # points: random weights have no accuracy to lose


@dataclass(frozen=True)
class Contender:
    """Folders of one network. ``compile_s`` includes calibration."""

    model: Path
    compiled: Path
    plain: Path  # compiled in fp32: what the peers' tools quantise
    compile_s: float


def build(num_layers: int, folder: Path, dtype: str = INT8) -> Contender:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    net = resnet.build(num_layers, CLASSES, (3, SIDE, SIDE))
    _see(net, [PREPROCESS.apply(data) for data in itertools.islice(photos(), 32)])
    model = folder / "model"
    artifact.save(model, net, epoch=1, batch_size=32, preprocessing=PREPROCESS.to_dict())
    compiled = partial(compile_model, model, targets.this_machine())
    plain = compiled(Options(dtype=FP32), None, None, into=folder / "fp32")
    began = time.perf_counter()
    wanted = Options(dtype=dtype, accuracy_tolerance=ANYTHING_GOES)
    few = [(data, 0) for data in itertools.islice(photos(), 8)]
    best = compiled(wanted, itertools.islice(photos(), CALIBRATION_PHOTOS), few, into=folder / dtype)
    return Contender(model, best, plain, time.perf_counter() - began)


def photos() -> Iterator[bytes]:
    """The bundled ones, again and again."""
    return itertools.cycle(path.read_bytes() for path in sorted(PHOTOS.rglob("*.jpg")))


def _see(net: torch.nn.Module, pixels: list[np.ndarray]) -> None:
    """Moving averages as after training on such photos."""
    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    net.train()
    with torch.no_grad():
        for rows in batch.split(16):
            for _ in range(4):
                net(rows)
    net.eval()


def quantised_by_nncf(contender: Contender, path: Path) -> Path:
    """OpenVINO's own tool with its own defaults. Raises Unavailable."""
    try:
        import nncf
        import openvino as ov
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed; pip install 'darkroom[bench]'") from error
    nncf.set_log_level(logging.ERROR)
    model = ov.Core().read_model(contender.plain / "compiled.onnx")
    model.reshape([1, SIDE, SIDE, 3])
    seen = nncf.Dataset(_batches())
    ov.save_model(nncf.quantize(model, seen, subset_size=CALIBRATION_PHOTOS), path, compress_to_fp16=False)
    return path


def quantised_by_onnxruntime(contender: Contender, path: Path) -> Path:
    """ONNX Runtime's own tool, as its documentation advises for this processor: QDQ, a scale for each channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = ({"data": batch} for batch in _batches()[:64])  # it keeps what every tensor held

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(str(contender.plain / "compiled.onnx"), str(prepared))
    quantize_static(
        str(prepared),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return path


def _batches() -> list[np.ndarray]:
    return [PREPROCESS.apply(data)[np.newaxis] for data in itertools.islice(photos(), CALIBRATION_PHOTOS)]
