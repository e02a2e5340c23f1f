"""Whole networks by our own kernels, as the compiler makes them of both kinds of ResNets, against other engines."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from darkroom.compiler.optimise import take_photo_bytes
from darkroom.compiler.quantize import layers
from darkroom.runtimes import native, registry
from darkroom.runtimes.base import Settings, Unsupported
from tests.objects.polling import wait_until
from tests.runtimes.quantised import (
    answers,
    depthwise,
    open_ended,
    post_activation,
    pre_activation,
    quantised,
    smooth,
    snapped,
    write,
)

pytestmark = [
    pytest.mark.skipif(not native.able(), reason=native.NEEDS),
    pytest.mark.usefixtures("kernels"),
]
ONE = Settings(threads=1)

NETWORKS = {
    "pre-activation, small photos": (lambda folder: pre_activation(folder, 20, 28), 28),
    "pre-activation, pooled": (lambda folder: pre_activation(folder, 18, 64), 64),
    "pre-activation, deep": (lambda folder: pre_activation(folder, 50, 64), 64),
    "post-activation, small photos": (lambda _: post_activation((16, 32), 32), 32),
    "post-activation, pooled": (lambda _: post_activation((16, 48), 64, pooled=True), 64),
    "post-activation, deep": (lambda _: post_activation((24, 40), 32, deep=True), 32),
    "a Relu before the sum": (lambda _: post_activation((16, 32), 32, early=True), 32),
    "depthwise": (lambda _: depthwise(32), 32),
    "depthwise, normalised": (lambda _: depthwise(30, norm=True), 30),
    "odd numbers": (lambda _: post_activation((18, 36), 29, pooled=True), 29),
}
KINDS = {
    "bytes": {"additions": True},
    "sums in registers": {"additions": True, "fused": True},
    "float sums": {"additions": False},
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory):
    make, side = NETWORKS[request.param]
    return make(tmp_path_factory.mktemp("model")), side


IN_FLOAT = {"a Relu before the sum": "takes what no layer has written"}  # what is in the way of sums in float


@pytest.mark.parametrize("kind", KINDS)
def test_what_rounds_where_the_graph_says_so_is_the_same_to_the_last_bit(network, kind, tmp_path, request):
    model, side = network
    exact = snapped(quantised(model, side, **KINDS[kind]))
    images, compiled = smooth(3, side), write(tmp_path, exact, side)
    reason = IN_FLOAT.get(request.node.callspec.params["network"]) if kind == "float sums" else None
    if reason:
        with pytest.raises(Unsupported, match=reason):
            registry.runtime("native").load(compiled, ONE)
        return
    found = registry.runtime("native").load(compiled, ONE).predict(images)
    expected = answers(exact, images)
    assert np.ptp(expected, axis=0).max() > 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_answer(tmp_path, threads):
    exact = snapped(quantised(post_activation((18, 36), 29, pooled=True), 29, additions=True))
    loaded = registry.runtime("native").load(write(tmp_path, exact, 29), Settings(threads=threads))
    images = smooth(6, 29)
    np.testing.assert_array_equal(loaded.predict(images), answers(exact, images))


@pytest.mark.parametrize("side", [33, 96, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_real_numbers_differ_by_roundings(tmp_path, side, kind):
    """A value half way between two bytes may become either, by the order of a sum: that moves an answer by little."""
    small = open_ended(quantised(post_activation((16, 32, 40), side), side, **KINDS[kind]))
    images, compiled = smooth(3, side), write(tmp_path, small, side)
    found = registry.runtime("native").load(compiled, ONE).predict(images)
    expected = answers(small, images)
    assert np.abs(found - expected).max() < 0.03 * np.ptp(expected)
    other = registry.runtime("openvino").load(compiled, ONE).predict(images)
    assert np.abs(found - expected).max() < np.abs(other - expected).max() + 0.01 * np.ptp(expected)


@pytest.mark.parametrize("kept", [slice(0, 1), slice(2, 4), slice(-1, None)], ids=["first", "third", "last"])
def test_layers_may_be_kept_in_float(tmp_path, kept):
    small = partly(post_activation((16, 32, 32), 64), 64, kept)
    images, compiled = smooth(3, 64), write(tmp_path, small, 64)
    expected = answers(small, images)
    found = registry.runtime("native").load(compiled, ONE).predict(images)
    assert np.abs(found - expected).max() < 0.01 * np.ptp(expected)


@pytest.mark.parametrize(
    ("model", "kept", "reason"),
    [
        (post_activation((16, 32), 32), slice(0), "100% of its work is in float, which other engines do as fast"),
        (depthwise(32), slice(0, 1), "56% of its work is in float"),
        (depthwise(32), slice(2, 3), "its Clip is one of float32"),
    ],
    ids=["all", "most", "a Clip"],
)
def test_what_is_better_done_in_float_is_for_other_engines(tmp_path, model, kept, reason):
    small = partly(model, 32, kept) if kept.stop else take_photo_bytes(model)
    with pytest.raises(Unsupported, match=reason):
        registry.runtime("native").load(write(tmp_path, small, 32), ONE)


def test_what_is_asked_for_in_bf16_is_for_other_engines(tmp_path):
    """Not where there is nothing that could be."""
    compiled = write(tmp_path / "some", partly(post_activation((16, 32, 32), 64), 64, slice(2, 4)), 64)
    half = Settings(threads=1, precision="bf16")
    with pytest.raises(Unsupported, match="of its work is in float, which other engines do as fast, or in bf16"):
        registry.runtime("native").load(compiled, half)
    compiled = write(tmp_path / "none", quantised(post_activation((16,), 8), 8, additions=True), 8)
    assert registry.runtime("native").load(compiled, half).precision == "fp32"


def partly(model: onnx.ModelProto, side: int, kept: slice) -> onnx.ModelProto:
    """Quantised but for these of its layers."""
    keep = [layer.name for layer in layers(model)][kept]
    return open_ended(quantised(model, side, additions=False, keep=keep))


def test_the_file_is_let_go_of(tmp_path):
    compiled = write(tmp_path, quantised(post_activation((16,), 8), 8, additions=True), 8)
    loaded = registry.runtime("native").load(compiled, ONE)
    assert str(compiled.model) not in Path("/proc/self/maps").read_text()
    assert loaded.predict(smooth(1, 8)).shape == (1, 10)


def test_a_model_that_goes_takes_its_threads_along(tmp_path):
    """Its own threads, by their numbers: others of this process may end meanwhile."""
    compiled = write(tmp_path, quantised(post_activation((16,), 8), 8, additions=True), 8)
    before = _threads()
    loaded = registry.runtime("native").load(compiled, Settings(threads=6, streams=2))
    loaded.predict(smooth(2, 8))
    team = _threads() - before
    assert len(team) == 4
    del loaded
    gc.collect()
    wait_until(lambda: not team & _threads())  # one that was waited for is listed a moment longer


def _threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def test_a_child_of_the_process_answers_and_ends(tmp_path):
    """It has none of the threads; it works alone and waits for none of them at its end."""
    model = quantised(post_activation((16,), 8), 8, additions=True)
    write(tmp_path, model, 8)
    code = (
        "import os, sys, numpy\n"
        "from pathlib import Path\n"
        "from darkroom.runtimes import registry\n"
        "from darkroom.runtimes.base import Settings\n"
        "loaded = registry.load(Path(sys.argv[1]), Settings(threads=2), ['native'])[1]\n"
        "photo = numpy.full((1, 8, 8, 3), 99, numpy.uint8)\n"
        "answer = loaded.predict(photo)\n"
        "if child := os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "sys.exit(0 if (loaded.predict(photo) == answer).all() else 7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 0
