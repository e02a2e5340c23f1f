"""What every ``Runtime`` must do, with real artifacts. Subclass, give a ``runtime`` fixture, and pytest runs it all.

Models are small random networks, compiled here from a few numbers; hostile files are made from them.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.runtimes import artifact
from darkroom.runtimes.artifact import Compiled, Tensor, UnusableArtifact
from darkroom.runtimes.base import ArrayMismatch, Runtime, Settings

CLASSES, SIDE = 4, 10
ONE = Settings(threads=1)


def model(*, seed: int = 0, integers: bool = True, side: int = SIDE, **attributes: object) -> onnx.ModelProto:
    """uint8 (batch, side, side, 3) → softmax (batch, CLASSES): a convolution in int8, a pooling, a matrix."""
    random = np.random.default_rng(seed)
    arrays = {
        "w": random.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8),
        "w_scale": np.full(6, 5e-5, np.float32),
        "w_zero": np.zeros(6, np.int8),
        "x_scale": np.array(1.0, np.float32),
        "x_zero": np.array(0, np.uint8),
        "m": random.normal(0, 0.3, (CLASSES, 6)).astype(np.float32),
        "b": random.normal(0, 0.3, CLASSES).astype(np.float32),
    }
    window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]} | attributes
    nodes = [
        helper.make_node("Transpose", ["data"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["t"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["f", "x_scale", "x_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], axis=0),
        helper.make_node("Conv", ["d", "wd"], ["c"], **window),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["v"]),
        helper.make_node("Gemm", ["v", "m", "b"], ["l"], transB=1),
        helper.make_node("Softmax", ["l"], ["p"]),
    ]
    given = helper.make_tensor_value_info("data", TensorProto.UINT8, ["batch", side, side, 3])
    answer = helper.make_tensor_value_info("p", TensorProto.FLOAT, ["batch", CLASSES])
    kept = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "small", [given], [answer], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def expected(proto: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """What the graph's own definition says, by ONNX's reference evaluator."""
    proto.opset_import[0].version = 21  # the first whose int8 operators it has; their meaning did not change
    answer: np.ndarray = onnx.reference.ReferenceEvaluator(proto).run(None, {"data": images})[0]
    return answer


def write(folder: Path, proto: onnx.ModelProto, side: int = SIDE) -> Compiled:
    return artifact.write(
        folder,
        proto.SerializeToString(),
        input=Tensor("data", "uint8", (None, side, side, 3)),
        output=Tensor("p", "float32", (None, CLASSES)),
        dtype="int8",
        framework="ONNX",
        target="this machine",
    )


def photos(count: int, side: int = SIDE) -> np.ndarray:
    """Noise, each of a colour of its own: a network that averages tells them apart."""
    random = np.random.default_rng(count)
    noise = random.random((count, side, side, 3)) * random.integers(30, 256, (count, 1, 1, 3))
    return noise.astype(np.uint8)


class RuntimeContract:
    """``runtime``: a fixture that gives the runtime under test."""

    @pytest.fixture
    def compiled(self, tmp_path: Path) -> Compiled:
        return write(tmp_path / "model", model())

    def test_answers_are_those_of_the_graph(self, runtime: Runtime, compiled: Compiled) -> None:
        images = photos(3)
        answer = runtime.load(compiled, ONE).predict(images)
        assert (answer.dtype, answer.shape) == (np.float32, (3, CLASSES))
        np.testing.assert_allclose(answer, expected(model(), images), atol=2e-3)
        assert np.ptp(answer, axis=0).max() > 0.01

    def test_rows_do_not_see_each_other(self, runtime: Runtime, compiled: Compiled) -> None:
        images, loaded = photos(4), runtime.load(compiled, ONE)
        together = loaded.predict(images)
        alone = np.concatenate([loaded.predict(row[np.newaxis]) for row in images])
        np.testing.assert_allclose(together, alone, atol=1e-6)

    def test_many_threads_get_their_own_answers(self, runtime: Runtime, compiled: Compiled) -> None:
        images, loaded = photos(16), runtime.load(compiled, Settings(threads=2, streams=2))
        before = [loaded.predict(row[np.newaxis]) for row in images]
        with ThreadPoolExecutor(8) as pool:
            after = list(pool.map(lambda k: loaded.predict(images[k % 16 : k % 16 + 1]), range(96)))
        for k, answer in enumerate(after):
            np.testing.assert_array_equal(answer, before[k % 16])

    def test_an_answer_stays_when_the_next_one_comes(self, runtime: Runtime, compiled: Compiled) -> None:
        images, loaded = photos(2), runtime.load(compiled, ONE)
        first = loaded.predict(images[:1])
        copy = first.copy()
        loaded.predict(images[1:])
        np.testing.assert_array_equal(first, copy)

    def test_an_array_need_not_be_contiguous(self, runtime: Runtime, compiled: Compiled) -> None:
        images, loaded = photos(2), runtime.load(compiled, ONE)
        turned = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
        np.testing.assert_array_equal(loaded.predict(turned), loaded.predict(images))

    def test_an_array_need_not_be_writable(self, runtime: Runtime, compiled: Compiled) -> None:
        images, loaded = photos(2), runtime.load(compiled, ONE)
        for rows in (images, images[:1]):
            held = np.frombuffer(rows.tobytes(), np.uint8).reshape(rows.shape)
            np.testing.assert_array_equal(loaded.predict(held), loaded.predict(rows))

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((1, SIDE, SIDE + 1, 3), np.uint8),
            np.zeros((1, SIDE, SIDE, 3), np.float32),
            np.zeros((SIDE, SIDE, 3), np.uint8),
            np.zeros((0, SIDE, SIDE, 3), np.uint8),
        ],
        ids=["wide", "float", "no batch", "empty"],
    )
    def test_an_array_that_does_not_fit_is_named(self, runtime: Runtime, compiled: Compiled, array: np.ndarray) -> None:
        loaded = runtime.load(compiled, ONE)
        with pytest.raises(ArrayMismatch, match=r"takes uint8 of shape \[batch, 10, 10, 3\]; found"):
            loaded.predict(array)
        assert loaded.predict(photos(1)).shape == (1, CLASSES)

    def test_bfloat16_is_close_or_not_used(self, runtime: Runtime, compiled: Compiled) -> None:
        loaded = runtime.load(compiled, Settings(threads=1, precision="bf16"))
        assert loaded.precision in ("bf16", "fp32")
        np.testing.assert_allclose(loaded.predict(photos(3)), expected(model(), photos(3)), atol=0.02)

    def test_a_cache_changes_no_answer(self, runtime: Runtime, compiled: Compiled, tmp_path: Path) -> None:
        plain = runtime.load(compiled, ONE).predict(photos(3))
        cached = Settings(threads=1, cache=tmp_path / "cache")
        for _ in range(2):
            np.testing.assert_array_equal(runtime.load(compiled, cached).predict(photos(3)), plain)

    def test_a_damaged_cache_is_made_again(self, runtime: Runtime, compiled: Compiled, tmp_path: Path) -> None:
        cached = Settings(threads=1, cache=tmp_path / "cache")
        plain = runtime.load(compiled, cached).predict(photos(3))
        for path in (tmp_path / "cache").glob("*"):
            path.write_bytes(path.read_bytes()[:1000])
        np.testing.assert_array_equal(runtime.load(compiled, cached).predict(photos(3)), plain)

    def test_a_cache_that_cannot_be_written_does_no_harm(self, runtime: Runtime, compiled: Compiled) -> None:
        nowhere = Settings(threads=1, cache=Path("/dev/null/cache"))
        assert runtime.load(compiled, nowhere).predict(photos(1)).shape == (1, CLASSES)

    def test_a_graph_that_does_not_fit_its_record_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        write(tmp_path, model(side=12), side=10)
        with pytest.raises(UnusableArtifact):
            runtime.load(artifact.read(tmp_path), ONE).predict(photos(1))

    def test_a_graph_of_nonsense_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        write(tmp_path, model(group=5))
        with pytest.raises(UnusableArtifact, match=r"cannot (load compiled\.onnx|run): \S"):
            runtime.load(artifact.read(tmp_path), ONE)

    def test_the_record_is_all_it_needs(self, runtime: Runtime, compiled: Compiled) -> None:
        """The engine alone: neither torch nor the tools that compile are imported by it."""
        record = json.loads((compiled.folder / artifact.MANIFEST).read_text())
        assert record["model"]["sha256"] == artifact.read(compiled.folder).digest
        assert not {"torch", "onnx"} & imported_by(runtime.name, compiled.folder)


def imported_by(name: str, folder: Path) -> set[str]:
    """Top-level modules of a fresh process that has loaded the artifact and answered."""
    code = (
        "import sys, numpy\n"
        "from pathlib import Path\n"
        "from darkroom.runtimes import artifact, registry\n"
        "from darkroom.runtimes.base import Settings\n"
        f"m = registry.load(Path(sys.argv[1]), Settings(threads=1), [{name!r}])[1]\n"
        f"m.predict(numpy.zeros((1, {SIDE}, {SIDE}, 3), numpy.uint8))\n"
        "print(*{n.partition('.')[0] for n in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
