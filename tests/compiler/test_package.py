"""A trained model through the whole compiler, and what is in the folder afterwards."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from darkroom.compiler import candidates, guard, targets
from darkroom.compiler.errors import CompileError, InputConfiguration
from darkroom.compiler.options import Options
from darkroom.compiler.package import compile_model
from darkroom.networks import artifact as model_artifact
from darkroom.networks.resnet import build
from darkroom.runtimes import artifact, native, registry
from darkroom.runtimes.base import Settings
from darkroom.runtimes.processor import has_bfloat16
from darkroom.serving.eager import Eager
from darkroom.serving.predictor import predict

pytestmark = pytest.mark.slow

C5 = targets.device("ml_c5")
ONE = Settings(threads=1)


def report(folder) -> dict:
    return json.loads((folder / "compilation-report.json").read_text())


@pytest.fixture(scope="module")
def compiled(trained, tmp_path_factory):
    into = tmp_path_factory.mktemp("compiled")
    said: list[str] = []
    compile_model(trained.model, C5, Options(), trained.training, trained.validation, into=into, log=said.append)
    return into, said


def test_the_folder_is_complete(compiled, trained):
    into, said = compiled
    assert sorted(path.name for path in into.iterdir()) == [
        "compilation-report.html",
        "compilation-report.json",
        "compiled.json",
        "compiled.onnx",
        "darkroom.txt",
        "model-shapes.json",
    ]
    assert (into / "darkroom.txt").read_bytes() == (trained.model / "darkroom.txt").read_bytes()
    assert said[0] == "Read the MXNET model: 74 nodes, input data uint8 [batch, 32, 32, 3]"
    assert re.match(r"Calibrated (30|36) tensors on", said[1])  # fewer for the runtime that adds in its registers
    assert "accepted" in said[-2]


def test_int8_answers_as_the_network_it_was_made_of(compiled, trained):
    """Photo bytes through both ways of serving, and the labels that nobody has seen."""
    into, _ = compiled
    vanilla = Eager.load(trained.model, "cpu")
    _, model = registry.load(into, ONE)
    labels = [label for _, label in trained.validation]
    before = np.concatenate([predict(vanilla, data) for data, _ in trained.validation])
    pixels = [vanilla.input.preprocess.apply(data)[np.newaxis] for data, _ in trained.validation]
    after = np.concatenate([model.predict(array) for array in pixels])
    verdict = guard.judge(before, after, labels, 0.1)
    assert verdict.accepted
    assert verdict.accuracy_reference > 0.5  # of six classes: it has learnt something
    assert verdict.agreement > 0.95
    assert 0 < verdict.logit_error < 0.05
    recorded = report(into)
    assert recorded["dtype"] == "int8"
    assert recorded["layers"] == {"int8": 23, "float": 0}
    assert recorded["verdict"]["accuracy"] == pytest.approx(verdict.accuracy)
    assert recorded["verdict"]["logit_error"] == pytest.approx(verdict.logit_error, rel=1e-3)
    assert recorded["photos"] == {"calibration": len(trained.training), "validation": len(trained.validation)}


def test_all_engines_answer_alike(compiled, trained):
    into, _ = compiled
    vanilla = Eager.load(trained.model, "cpu")
    pixels = np.stack([vanilla.input.preprocess.apply(data) for data, _ in trained.validation[:20]])
    first, *others = (registry.load(into, ONE, [name])[1].predict(pixels) for name in registry.installed())
    assert len(others) >= 1
    for answers in others:
        np.testing.assert_allclose(answers, first, atol=0.03)
        assert (answers.argmax(axis=1) == first.argmax(axis=1)).mean() > 0.9


def test_the_report_is_a_page(compiled):
    into, _ = compiled
    page = (into / "compilation-report.html").read_text()
    assert "<h2>Verdict</h2>" in page
    assert "Logit error" in page


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_the_other_types(trained, tmp_path, dtype):
    options = Options(dtype=dtype)
    compile_model(trained.model, C5, options, None, trained.validation[:20], into=tmp_path / dtype)
    recorded = report(tmp_path / dtype)
    assert (recorded["dtype"], recorded["verdict"]["accepted"]) == (dtype, True)
    assert recorded["verdict"]["logit_error"] < {"fp32": 1e-6, "bf16": 0.05, "fp16": 0.01}[dtype]
    whole = "int16" if native.able() else "fp32"
    assert recorded.get("computed_in") == {"bf16": "bf16" if has_bfloat16() else whole, "fp16": whole}.get(dtype)
    plain = onnx.load(tmp_path / dtype / "compiled.onnx").ByteSize()
    assert plain < (0.6e6 if dtype == "fp16" else 1.2e6)


def test_without_photos_nothing_is_risked(trained, tmp_path):
    compile_model(trained.model, C5, Options(), None, None, into=tmp_path)
    assert report(tmp_path)["dtype"] == "fp32"
    assert report(tmp_path)["verdict"] is None
    with pytest.raises(CompileError, match="int8 needs at least 8 photos to calibrate on, and 1 could be read"):
        compile_model(trained.model, C5, Options("int8"), [*trained.training[:1], b"no photo"], None, into=tmp_path)


def test_photos_without_labels_do(trained, tmp_path):
    compile_model(trained.model, C5, Options(), trained.training[:60], None, into=tmp_path)
    assert report(tmp_path)["verdict"]["accuracy"] is None
    assert "without labels" in report(tmp_path)["verdict"]["reason"]


def test_layers_that_hurt_are_kept_before_the_model_is(trained, tmp_path, monkeypatch):
    """A range that is far too small breaks one layer; only what is needed to mend it goes back to float32."""
    best_ranges = candidates.calibrate.ranges

    def spoilt(model, names, arrays, threads):
        ranges = best_ranges(model, names, arrays, threads)
        return ranges | {"stage2_unit1_relu2": candidates.calibrate.Range(0.0, 0.001)}

    monkeypatch.setattr(candidates.calibrate, "ranges", spoilt)
    compile_model(trained.model, C5, Options("int8"), trained.training, trained.validation, into=tmp_path)
    recorded = report(tmp_path)
    assert recorded["dtype"] == "int8"
    assert recorded["kept_in_float"] == ["additions", "stage2_unit1_conv2"]
    assert [len(refused["kept_in_float"]) for refused in recorded["refused"]] == [0, 1]
    assert recorded["layers"] == {"int8": 22, "float": 1}


def test_a_model_that_eight_bits_spoil_gets_sixteen(trained, tmp_path, monkeypatch):
    nothing = candidates.calibrate.Range(0.0, 1e-6)
    monkeypatch.setattr(
        candidates.calibrate, "ranges", lambda model, names, arrays, threads: dict.fromkeys(names, nothing)
    )
    said: list[str] = []
    compile_model(
        trained.model, C5, Options("int8"), trained.training, trained.validation, into=tmp_path, log=said.append
    )
    recorded = report(tmp_path)
    assert (recorded["dtype"], recorded["verdict"]["accepted"]) == ("bf16", True)
    assert [refused["dtype"] for refused in recorded["refused"]] == ["int8"] * 6
    assert f"bf16 is computed in {recorded['computed_in']} on this processor" in said


def test_a_model_that_cannot_be_saved_stays_in_fp32(trained, tmp_path, monkeypatch):
    judge = candidates.guard.judge
    monkeypatch.setattr(candidates.guard, "judge", lambda *given: replace(judge(*given), accepted=False))
    said: list[str] = []
    compile_model(
        trained.model, C5, Options("int8"), trained.training, trained.validation, into=tmp_path, log=said.append
    )
    assert report(tmp_path)["dtype"] == "fp32"
    assert [refused["dtype"] for refused in report(tmp_path)["refused"]] == ["int8"] * 6 + ["bf16"]
    assert "No smaller type was accepted: the model stays in fp32" in said


def test_processors_without_dot_products_get_seven_bits(trained, tmp_path):
    photos = trained.training[:40]
    compile_model(trained.model, targets.device("ml_c4"), Options("int8"), photos, None, into=tmp_path)
    arrays = onnx.load(tmp_path / "compiled.onnx").graph.initializer
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in arrays if tensor.name.endswith("_weight_int8")]
    assert len(weights) == 23
    assert {int(np.abs(weight).max()) for weight in weights} == {63}


def test_several_labels(tmp_path):
    generator = torch.Generator().manual_seed(1)
    net = build(20, 4, (3, 32, 32), generator=generator)
    model_artifact.save(tmp_path / "model", net.eval(), epoch=1, batch_size=8, multi_label=True)
    noise = np.random.default_rng(1)
    photos = []
    for _ in range(20):
        pixels = noise.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        photos.append((encoded(pixels), noise.integers(0, 2, 4)))
    compile_model(tmp_path / "model", C5, Options("int8"), None, photos, into=tmp_path / "out")
    assert report(tmp_path / "out")["verdict"]["photos"] == 20


def encoded(pixels: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            '{"data": [1, 3, 224, 224]}',
            r'the model was trained on \[3, 32, 32\]; expected \{"data": \[1, 3, 32, 32\]\}',
        ),
        (
            '{"input": [1, 3, 32, 32]}',
            "DataInputConfig names 'input', which the symbol does not have; its inputs are: data",
        ),
        ('{"data": [1, 3, 32, 32], "x": [1]}', "DataInputConfig names 2 inputs; expected one"),
        ("data", "DataInputConfig is 'data'; expected something like"),
    ],
)
def test_an_input_that_does_not_fit_is_shown(trained, tmp_path, config, reason):
    with pytest.raises(InputConfiguration, match=reason):
        compile_model(trained.model, C5, Options(), None, None, into=tmp_path, data_input_config=config)


@pytest.mark.parametrize(
    "config",
    [
        '{"data":[1,3,32,32]}',
        "{'data': [64, 3, 32, 32]}",
        "[[-1, 3, 32, 32]]",
        "{'data':[1,3,32,32],'softmax_label':[1]}",
    ],
)
def test_every_spelling_gives_the_same_model(trained, compiled, tmp_path, config):
    compile_model(trained.model, C5, Options("fp32"), None, None, into=tmp_path, data_input_config=config)
    assert artifact.read(tmp_path).input == artifact.read(compiled[0]).input


@pytest.mark.parametrize(
    ("framework", "reason"),
    [
        ("KERAS", "not offered yet: there is no reader for it yet; export it to ONNX"),
        ("caffe", "'caffe' is not known; expected one of: MXNET, ONNX"),
    ],
)
def test_a_framework_that_is_not_read_is_named(trained, tmp_path, framework, reason):
    with pytest.raises(CompileError, match=reason):
        compile_model(trained.model, C5, Options(), None, None, into=tmp_path, framework=framework)


def test_a_compiled_artifact_moves_to_a_machine_with_the_runtime_alone(compiled, tmp_path):
    """Everything that compiles or trains is hidden from the process that serves."""
    shutil.copytree(compiled[0], tmp_path / "moved")
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'PIL', 'cv2', 'onnxruntime', 'darkroom.compiler', 'darkroom.networks'):\n"
        "    sys.modules[name] = None\n"
        "import numpy\nfrom pathlib import Path\nfrom darkroom.runtimes import registry\n"
        "from darkroom.runtimes.base import Settings\n"
        "model = registry.load(Path(sys.argv[1]), Settings(threads=1), ['openvino'])[1]\n"
        "print(model.predict(numpy.zeros((1, 32, 32, 3), numpy.uint8)).sum())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "moved"], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(1, abs=1e-5)
