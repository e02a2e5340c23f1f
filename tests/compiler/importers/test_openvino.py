"""TensorFlow's files: the answers that TensorFlow gives, and clear words for the rest."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from darkroom.compiler import targets
from darkroom.compiler.errors import CompileError
from darkroom.compiler.importers import openvino
from darkroom.compiler.inputs import UNNAMED, Input
from darkroom.compiler.options import Options
from darkroom.compiler.package import compile_model
from darkroom.runtimes import registry
from darkroom.runtimes.base import Settings

DATA = Path(__file__).parent / "data"
IMAGE = Input(UNNAMED, (None, 32, 32, 3))
Load = Callable[..., onnx.ModelProto]
BOTH = pytest.mark.parametrize(
    ("file", "load"), [("tiny.tflite", openvino.load_lite), ("tiny.pb", openvino.load_frozen)]
)


@pytest.fixture
def known() -> dict[str, np.ndarray]:
    """``images`` and what TensorFlow ``answers``."""
    with np.load(DATA / "tiny.npz") as file:
        return dict(file)


@BOTH
def test_the_answers_are_tensorflows(tmp_path: Path, known: dict[str, np.ndarray], file: str, load: Load) -> None:
    shutil.copy(DATA / file, tmp_path)
    session = ort.InferenceSession(load(tmp_path, [IMAGE]).SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: known["images"]})[0]
    np.testing.assert_allclose(found, known["answers"], atol=1e-6)


@pytest.mark.parametrize(("file", "framework"), [("tiny.tflite", "TFLITE"), ("tiny.pb", "TENSORFLOW")])
@pytest.mark.parametrize("asked", ["", "as it is"])
def test_compiled_and_served(
    tmp_path: Path, known: dict[str, np.ndarray], file: str, framework: str, asked: str
) -> None:
    (tmp_path / "model").mkdir()
    shutil.copy(DATA / file, tmp_path / "model")
    into = compile_model(
        tmp_path / "model",
        targets.this_machine(),
        Options(),
        None,
        None,
        into=tmp_path / "compiled",
        data_input_config="[1, 32, 32, 3]",
        framework=framework if asked else "",
    )
    assert sum(n.op_type == "Add" for n in onnx.load(into / "compiled.onnx").graph.node) <= 1  # biases are folded
    model = registry.load(into, Settings(1))[1]
    np.testing.assert_allclose(model.predict(known["images"]), known["answers"], atol=1e-5)


@BOTH
def test_damaged_files_are_named(tmp_path: Path, file: str, load: Load) -> None:
    whole = (DATA / file).read_bytes()
    for data in (b"", b"no model at all", whole[: len(whole) // 2]):
        (tmp_path / file).write_bytes(data)
        with pytest.raises(CompileError, match=file):
            load(tmp_path, [IMAGE])


@BOTH
def test_another_shape_is_told(tmp_path: Path, file: str, load: Load) -> None:
    shutil.copy(DATA / file, tmp_path)
    with pytest.raises(CompileError, match=r"InputConfiguration: DataInputConfig says \[1, 3, 32, 32\]"):
        load(tmp_path, [Input(UNNAMED, (None, 3, 32, 32))])
    with pytest.raises(CompileError, match="InputConfiguration: DataInputConfig names 'dataa'"):
        load(tmp_path, [Input("dataa", (None, 32, 32, 3))])


def test_no_model_lists_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").touch()
    with pytest.raises(CompileError, match=r"expected one \.tflite file, found 0; the model holds: labels\.txt"):
        openvino.load_lite(tmp_path, [IMAGE])
