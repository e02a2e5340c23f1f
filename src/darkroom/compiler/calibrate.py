"""Ranges of a network's activations, from real photos: for each tensor the one that costs the least squared error.

Values beyond a range are clipped, and values within are rounded more coarsely the wider it is. The best trade is found
on a sample of what each tensor held for each photo.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from darkroom.compiler.errors import CompileError
from darkroom.compiler.quantize import LEVELS, Range

SAMPLES_PER_PHOTO = 512  # of each tensor
MAX_SAMPLES = 1 << 17  # of each tensor, for the search
CANDIDATES = np.linspace(0.3, 1.0, 36)  # shares of the full range
_WARNINGS_OFF = 4


def ranges(
    model: onnx.ModelProto, names: Sequence[str], arrays: Iterable[np.ndarray], threads: int
) -> dict[str, Range]:
    """``arrays``: inputs at a batch of one. Raises CompileError where there are none."""
    found = _seen(model, names, arrays, threads)
    return {name: best_range(np.concatenate(seen.samples), seen.low, seen.high) for name, seen in found.items()}


def extremes(
    model: onnx.ModelProto, names: Sequence[str], arrays: Iterable[np.ndarray], threads: int
) -> dict[str, tuple[float, float]]:
    """The least and the most of each tensor, zero included. Raises CompileError as ``ranges`` does."""
    found = _seen(model, names, arrays, threads)
    return {name: (min(seen.low, 0.0), max(seen.high, 0.0)) for name, seen in found.items()}


@dataclass
class _Seen:
    """Of one tensor."""

    low: float = np.inf
    high: float = -np.inf
    samples: list[np.ndarray] = field(default_factory=list)

    def look(self, values: np.ndarray, place: int) -> None:
        flat = values.ravel()
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        step = max(1, flat.size // SAMPLES_PER_PHOTO)
        self.samples.append(flat[place % step :: step].copy())  # a view would keep all of the tensor


def _seen(model: onnx.ModelProto, names: Sequence[str], arrays: Iterable[np.ndarray], threads: int) -> dict[str, _Seen]:
    session = _session(model, names, threads)
    outputs = [output.name for output in session.get_outputs()]
    given = session.get_inputs()[0].name
    found = {name: _Seen() for name in names}
    count = 0
    for count, array in enumerate(arrays, start=1):
        values = dict(zip(outputs, session.run(None, {given: array}), strict=True)) | {given: array}
        for name, seen in found.items():
            seen.look(values[name], count)
    if not count:
        raise CompileError("int8 needs photos to calibrate on, and there was none that could be read")
    if not np.isfinite([bound for seen in found.values() for bound in (seen.low, seen.high)]).all():
        raise CompileError(
            "the model computes NaN or infinity on real photos; train it again with a smaller learning_rate"
        )
    return found


def _session(model: onnx.ModelProto, names: Sequence[str], threads: int) -> ort.InferenceSession:
    """The model with all these tensors as outputs."""
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    present = {value.name for value in [*open_model.graph.output, *open_model.graph.input]}
    extra = [helper.make_empty_tensor_value_info(name) for name in names if name not in present]
    open_model.graph.output.extend(extra)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, _WARNINGS_OFF
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # beyond, outputs are fused away
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def best_range(sample: np.ndarray, low: float, high: float) -> Range:
    """Of the full range's shares the one whose rounding and clipping cost the sample the least squared error."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 0:
        return Range(0.0, 1.0)
    thinned = sample[:: max(1, sample.size // MAX_SAMPLES)].astype(np.float32)
    errors = [_error(thinned, share * low, share * high) for share in CANDIDATES]
    share = float(CANDIDATES[int(np.argmin(errors))])
    return Range(share * low, share * high)


def _error(values: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / LEVELS
    rounded = np.rint(np.clip(values, low, high) / step) * step
    return float(np.mean(np.square(rounded - values)))
