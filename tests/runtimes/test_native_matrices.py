"""Sums by the processor's matrices are those of the other kernels, to the last bit."""

import numpy as np
import pytest

from darkroom.runtimes import native, onnx_graph, registry
from darkroom.runtimes.base import Settings
from darkroom.runtimes.native import chains, plan
from darkroom.runtimes.native import runtime as native_runtime
from darkroom.runtimes.native.simplify import simplify
from tests.runtimes.quantised import Maker, answers, post_activation, quantised, smooth, snapped, write

pytestmark = pytest.mark.skipif(not native.able(), reason=native.NEEDS)
needs_matrices = pytest.mark.skipif(not native.has_matrices(), reason="it needs a processor with AMX")


def one_convolution(side, before, after, kernel, stride=1):
    """Of so many channels to so many, with a sum that is written where one of its parts was read."""
    made = Maker(side)
    tensor = made.convolution("data", 3, before, 3, 1, relu=True)
    summed = made.convolution(tensor, before, after, kernel, stride, relu=True)
    again = made.convolution(summed, after, after, kernel, 1, relu=False)
    tensor = made.node("Relu", [made.node("Add", [again, summed])])
    return made.classifier(made.convolution(tensor, after, after, 1, 1, relu=True), after)


def planned(model, *, matrices):
    return plan.make(chains.read(simplify(onnx_graph.read(model.SerializeToString()))).layers, matrices)


@needs_matrices
@pytest.mark.parametrize("side", [7, 15, 16, 17, 31, 47])
@pytest.mark.parametrize(
    ("before", "after", "kernel", "stride"),
    [(16, 16, 3, 1), (32, 48, 3, 1), (64, 32, 1, 1), (96, 80, 1, 1), (80, 33, 3, 2), (208, 16, 1, 2), (48, 64, 5, 1)],
)
def test_answers_are_those_of_the_graph(side, before, after, kernel, stride, tmp_path):
    """Lines of one group and of several, which may overlap; maps as one line, with gaps between rows and without; odd
    numbers of vectors; every number of words that divides a window."""
    images = smooth(2, side)
    exact = snapped(quantised(one_convolution(side, before, after, kernel, stride), side, additions=True))
    expected = answers(exact, images)
    assert np.ptp(expected) > 0
    for threads in (1, 3):
        compiled = write(tmp_path / str(threads), exact, side)
        found = registry.runtime("native").load(compiled, Settings(threads=threads)).predict(images)
        np.testing.assert_array_equal(found, expected)


class Denied:
    """The library where the system does not let a process use matrices, whatever the processor has."""

    def __init__(self, library):
        self.library = library

    def __getattr__(self, name):
        return getattr(self.library, name)

    def darkroom_network_new(self, *arguments):
        return self.library.darkroom_network_new(*arguments[:-1], 0)


def test_a_plan_for_matrices_runs_without_them(monkeypatch):
    exact = snapped(quantised(post_activation((16, 48), 64, pooled=True), 64, additions=True))
    images, made = smooth(2, 64), planned(exact, matrices=True)
    denied = Denied(native.library())
    monkeypatch.setattr(native, "library", lambda: denied)
    found = native_runtime._Context(made, 2, 10, probabilities=False).run(images)
    np.testing.assert_array_equal(found, answers(exact, images))


def test_windows_of_photos_are_whole_words_for_matrices():
    model = quantised(post_activation((16, 48), 64, pooled=True), 64, additions=True)
    steps = {matrices: planned(model, matrices=matrices) for matrices in (False, True)}
    first = {matrices: made.steps(made.arena())[1] for matrices, made in steps.items()}
    assert [(first[matrices].run, first[matrices].rest) for matrices in (False, True)] == [(5, 2), (6, 0)]
