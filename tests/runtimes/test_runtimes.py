"""Both engines keep the promises of ``runtimes.base``."""

import pytest

from darkroom.runtimes import registry
from darkroom.runtimes.artifact import UnusableArtifact
from darkroom.runtimes.base import Runtime, Settings
from darkroom.testing.runtime_contract import ONE, RuntimeContract, model, photos, write


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
    assert registry.installed() == ["openvino", "onnxruntime"]
    assert registry.load(tmp_path, ONE)[0].name == "openvino"
    assert registry.load(tmp_path, ONE, ["onnxruntime", "openvino"])[0].name == "onnxruntime"


def test_an_unknown_runtime_is_named():
    with pytest.raises(UnusableArtifact, match="no runtime 'tvm'; those that are: openvino, onnxruntime"):
        registry.runtime("tvm")


def test_streams_need_threads():
    with pytest.raises(ValueError, match="4 streams on 2 threads"):
        Settings(threads=2, streams=4)
    with pytest.raises(ValueError, match="precision 'int4'"):
        Settings(threads=2, precision="int4")
