"""Which layers int8 hurts most: each alone in int8, all others in float32, and how far the answers move."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort

from darkroom.compiler.guard import logit_error
from darkroom.compiler.quantize import Range, layers, quantize

PHOTOS = 8  # enough to rank by


def most_harmful(
    model: onnx.ModelProto, ranges: Mapping[str, Range], arrays: Sequence[np.ndarray], threads: int
) -> list[str]:
    """Names of the layers, the worst first."""
    seen = arrays[:: max(1, len(arrays) // PHOTOS)][:PHOTOS]
    reference = _answers(model, seen, threads)
    names = [node.name for node in layers(model)]
    harm = {}
    for name in names:
        alone = quantize(model, ranges, keep=[other for other in names if other != name])
        harm[name] = logit_error(reference, _answers(alone, seen, threads))
    return sorted(names, key=lambda name: -harm[name])


def _answers(model: onnx.ModelProto, arrays: Sequence[np.ndarray], threads: int) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: array})[0] for array in arrays])
