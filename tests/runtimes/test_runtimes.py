"""Every engine keeps the promises of ``runtimes.base``."""

from dataclasses import replace

import numpy as np
import pytest

from darkroom.runtimes import native, registry
from darkroom.runtimes.artifact import UnusableArtifact
from darkroom.runtimes.base import Runtime, Settings, Unsupported
from darkroom.testing.runtime_contract import ONE, RuntimeContract, expected, model, photos, write

ALL = registry.RUNTIMES.items()
needs_native = pytest.mark.skipif(not native.able(), reason=native.NEEDS)


@needs_native
class TestNative(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> Runtime:
        return registry.runtime("native")


class TestOpenVino(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> Runtime:
        return registry.runtime("openvino")

    def test_the_cache_is_used(self, runtime, tmp_path):
        compiled = write(tmp_path / "model", model())
        cached = Settings(threads=1, cache=tmp_path / "cache")
        answer = runtime.load(compiled, cached).predict(photos(2))
        (kept,) = (tmp_path / "cache").iterdir()
        before = kept.stat().st_ino
        assert (runtime.load(compiled, cached).predict(photos(2)) == answer).all()
        assert kept.stat().st_ino == before

    @pytest.mark.parametrize(("cores", "pinned"), [({0, 1}, True), ({0, 1, 2}, False)])
    def test_threads_have_a_core_each_where_they_have_all(self, runtime, tmp_path, monkeypatch, cores, pinned):
        monkeypatch.setattr("os.sched_getaffinity", lambda _: cores)
        loaded = runtime.load(write(tmp_path, model()), Settings(threads=2))
        assert loaded.requests.get().get_compiled_model().get_property("ENABLE_CPU_PINNING") is pinned

    def test_a_graph_that_would_fill_the_memory_is_refused(self, runtime, tmp_path):
        compiled = write(tmp_path, model(pads=[1 << 18] * 4))
        with pytest.raises(UnusableArtifact, match="computes a tensor of shape"):
            runtime.load(compiled, ONE)


class TestOnnxRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> Runtime:
        return registry.runtime("onnxruntime")


def test_the_first_one_installed_serves(tmp_path):
    write(tmp_path, model())
    assert registry.installed() == [*(["native"] if native.able() else []), "openvino", "onnxruntime"]
    assert registry.load(tmp_path, ONE)[0].name == registry.installed()[0]
    assert registry.load(tmp_path, ONE, ["openvino", "native"])[0].name == "openvino"
    assert registry.load(tmp_path, ONE, ["onnxruntime", "openvino"])[0].name == "onnxruntime"


@needs_native
def test_a_model_that_one_runtime_does_not_do_is_the_next_ones(tmp_path):
    """Gaps between the pixels of a window."""
    write(tmp_path, model(dilations=[2, 2], pads=[2] * 4))
    with pytest.raises(Unsupported, match=r"native runtime cannot load compiled\.onnx: its Conv has groups, gaps"):
        registry.load(tmp_path, ONE, ["native"])
    chosen, loaded = registry.load(tmp_path, ONE)
    assert chosen.name == "openvino"
    np.testing.assert_allclose(
        loaded.predict(photos(2)), expected(model(dilations=[2, 2], pads=[2] * 4), photos(2)), atol=2e-3
    )


def test_a_machine_without_any_runtime_says_what_helps(tmp_path, monkeypatch):
    write(tmp_path, model())
    monkeypatch.setattr(registry, "RUNTIMES", {name: replace(offer, there=lambda: False) for name, offer in ALL})
    with pytest.raises(UnusableArtifact, match="needs one of native, openvino, onnxruntime; pip install openvino"):
        registry.load(tmp_path, ONE)
    with pytest.raises(UnusableArtifact, match="runtime native is not installed here; it needs a processor with AVX"):
        registry.runtime("native")


@needs_native
def test_where_only_ours_is_there_its_refusal_says_what_helps(tmp_path, monkeypatch):
    write(tmp_path, model(dilations=[2, 2], pads=[2] * 4))
    monkeypatch.setattr(registry, "RUNTIMES", {"native": registry.RUNTIMES["native"]})
    with pytest.raises(UnusableArtifact, match=r"has groups, gaps .*; OpenVINO runs any .*: pip install openvino"):
        registry.load(tmp_path, ONE, ["native"])


def test_an_unknown_runtime_is_named():
    with pytest.raises(UnusableArtifact, match="no runtime 'tvm'; those that are: native, openvino, onnxruntime"):
        registry.runtime("tvm")


def test_streams_need_threads():
    with pytest.raises(ValueError, match="4 streams on 2 threads"):
        Settings(threads=2, streams=4)
    with pytest.raises(ValueError, match="precision 'int4'"):
        Settings(threads=2, precision="int4")
