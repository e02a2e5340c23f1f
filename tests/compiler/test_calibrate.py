"""Ranges are there for every tensor that is asked for, whatever an engine would make of the graph."""

import numpy as np

from darkroom.compiler import calibrate
from darkroom.compiler.quantize import activations
from tests.runtimes.quantised import post_activation, smooth

SIDE = 33


def test_no_tensor_is_fused_away() -> None:
    """ONNX Runtime's fusions lose the output of a convolution that is added to another, at odd numbers of channels."""
    model = post_activation((33, 17), SIDE)
    names = activations(model, additions=True)
    photos = [smooth(1, SIDE).transpose(0, 3, 1, 2).astype(np.float32)]
    ranges = calibrate.ranges(model, names, photos, threads=1)
    assert sorted(ranges) == sorted(names)
    assert all(found.low < found.high for found in ranges.values())
