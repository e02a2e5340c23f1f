"""Windows that reach beyond the edges of a map: what lies there is left out, and nothing else is."""

import numpy as np
import pytest

from darkroom.runtimes import native, onnx_graph, registry
from darkroom.runtimes.base import Settings
from darkroom.runtimes.native import chains, plan
from darkroom.runtimes.native.simplify import simplify
from tests.runtimes.quantised import Maker, answers, quantised, smooth, snapped, write

pytestmark = [
    pytest.mark.skipif(not native.able(), reason=native.NEEDS),
    pytest.mark.usefixtures("kernels"),
]


def network(side, window, strides, pads, *, relu=True, channels=20):
    """One window in question, over what is at least zero, or over what is not."""
    made = Maker(side)
    tensor = made.convolution("data", 3, channels, 1, 1, relu=relu)
    weights = [made.constant((40, channels, *window), (2 / (channels * window[0] * window[1])) ** 0.5)]
    tensor = made.node("Conv", [tensor, *weights], kernel_shape=window, strides=strides, pads=pads)
    tensor = made.node("MaxPool", [made.node("Relu", [tensor])], kernel_shape=[2, 2], strides=[1, 1])
    return made.classifier(tensor, 40)


WINDOWS = {
    "3 x 3": ([3, 3], [1, 1], [1, 1, 1, 1]),
    "halving": ([3, 3], [2, 2], [1, 1, 1, 1]),
    "5 x 5": ([5, 5], [1, 1], [2, 2, 2, 2]),
    "7 x 7": ([7, 7], [2, 2], [3, 3, 3, 3]),
    "more than its half": ([3, 3], [1, 1], [2, 2, 2, 2]),
    "all but one": ([4, 4], [1, 1], [3, 3, 3, 3]),
    "wide": ([1, 5], [1, 1], [0, 2, 0, 2]),
    "high": ([5, 1], [1, 1], [2, 0, 2, 0]),
    "one side": ([3, 3], [1, 1], [1, 0, 0, 1]),
    "other side": ([2, 4], [1, 2], [0, 3, 1, 0]),
    "far apart": ([3, 3], [3, 3], [1, 1, 1, 1]),
    "nothing beyond": ([3, 3], [1, 1], [0, 0, 0, 0]),
}


@pytest.mark.parametrize("side", [7, 10, 14, 22, 28])
@pytest.mark.parametrize("name", WINDOWS)
def test_answers_are_those_of_the_graph(name, side, tmp_path):
    """Sides of one group of pixels, of two and of an odd number; groups of one size, and of two."""
    images = smooth(2, side)
    for relu in (True, False):
        exact = snapped(quantised(network(side, *WINDOWS[name], relu=relu), side, additions=True))
        compiled = write(tmp_path / str(relu), exact, side)
        found = registry.runtime("native").load(compiled, Settings(threads=2)).predict(images)
        expected = answers(exact, images)
        assert np.ptp(expected) > 0
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("relu", "known"), [(True, True), (False, False)])
def test_only_what_stands_for_zero_is_left_out(relu, known):
    """Other bytes do where there is something below zero: those count."""
    small = quantised(network(14, *WINDOWS["3 x 3"], relu=relu), 14, additions=True)
    planned = plan.make(chains.read(simplify(onnx_graph.read(small.SerializeToString()))).layers)
    steps = [step for step in planned.steps(planned.arena()) if step.window == 3 and step.run > 3]
    assert [(step.input_rows, step.input_columns) for step in steps] == [(14, 14) if known else (0, 0)]
