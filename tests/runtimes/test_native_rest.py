"""Windows over a photo whose rows leave a byte over behind whole words: it is multiplied once, with its own weight."""

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


def network(side, window, strides, pads, *, channels=36, norm=False):
    """One window in question, over the photo itself."""
    made = Maker(side)
    tensor = "data"
    if norm:  # then the byte that stands for zero is another
        tensor = made.node("Sub", [tensor, made.given(np.float32([128, 120, 112]).reshape(1, 3, 1, 1))])
    weights = made.constant((channels, 3, *window), (2 / (3 * window[0] * window[1])) ** 0.5 / 70)
    bias = made.constant((channels,))
    tensor = made.node("Conv", [tensor, weights, bias], kernel_shape=window, strides=strides, pads=pads)
    tensor = made.node("MaxPool", [made.node("Relu", [tensor])], kernel_shape=[2, 2], strides=[1, 1])
    return made.classifier(tensor, channels)


def first_step(model):
    planned = plan.make(chains.read(simplify(onnx_graph.read(model.SerializeToString()))).layers)
    return planned.steps(planned.arena())[1]


WINDOWS = {
    "7 x 7": ([7, 7], [2, 2], [3, 3, 3, 3]),
    "each pixel": ([7, 7], [1, 1], [3, 3, 3, 3]),
    "3 x 3": ([3, 3], [2, 2], [1, 1, 1, 1]),
    "one side": ([3, 3], [1, 2], [0, 0, 1, 1]),
    "high": ([8, 3], [2, 1], [4, 1, 3, 1]),
    "wide": ([2, 7], [1, 2], [0, 3, 1, 3]),
    "four rows": ([4, 3], [3, 2], [1, 1, 2, 1]),
    "very wide": ([5, 11], [1, 1], [2, 5, 2, 5]),
    "far down": ([3, 3], [8, 2], [1, 1, 1, 1]),
}


@pytest.mark.parametrize("side", [12, 33, 70])
@pytest.mark.parametrize("name", WINDOWS)
def test_answers_are_those_of_the_graph(name, side, tmp_path):
    """Less than 16 windows beside each other, some more, and many; more rows than are worked on together."""
    images = smooth(2, side)
    for norm in (False, True):
        exact = snapped(quantised(network(side, *WINDOWS[name], norm=norm), side, additions=True))
        assert first_step(exact).rest == (2 if WINDOWS[name][0][0] > 4 else 1)
        expected = answers(exact, images)
        assert np.ptp(expected) > 0
        for threads in (1, 2, 5):
            compiled = write(tmp_path / f"{norm}{threads}", exact, side)
            found = registry.runtime("native").load(compiled, Settings(threads=threads)).predict(images)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("window", "strides", "run"),
    [
        ([5, 5], [2, 2], 4),  # 15 bytes: no byte is alone
        ([1, 7], [1, 1], 6),  # one row has nothing beside it
        ([9, 3], [1, 1], 3),  # more rows than are worked on
        ([7, 7], [2, 3], 6),  # windows farther apart
        ([3, 3], [9, 1], 3),
    ],
)
def test_other_windows_are_padded_to_words(window, strides, run, tmp_path):
    exact = snapped(quantised(network(28, window, strides, [0, 0, 0, 0]), 28, additions=True))
    step = first_step(exact)
    assert (step.run, step.rest) == (run, 0)
    found = registry.runtime("native").load(write(tmp_path, exact, 28), Settings(threads=2)).predict(smooth(2, 28))
    np.testing.assert_array_equal(found, answers(exact, smooth(2, 28)))
