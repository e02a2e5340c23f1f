"""Compiled models behind the worker: the answers of the network they were made of, and nothing else imported."""

import contextlib
import io
import itertools
import json
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import darkroom
from darkroom.compiler import targets
from darkroom.compiler.options import Options
from darkroom.compiler.package import compile_model
from darkroom.runtimes import native, registry
from darkroom.serving.compiled import Compiled
from darkroom.serving.eager import Eager
from darkroom.serving.predictor import UnusableModel, load, predict
from darkroom.testing.live_worker import LiveWorker
from tests.imaging.pictures import blocks, file_of
from tests.serving import models

SITE = Path(sysconfig.get_paths()["purelib"])
# All that a worker of compiled models needs to be installed.
RUNTIME = ("numpy", "numpy.libs", "openvino", "cv2", "opencv_python_headless.libs", "simplejpeg", "simplejpeg.libs",
           "orjson", "uvicorn", "uvloop", "httptools", "click", "h11")  # fmt: skip


@pytest.fixture(scope="module")
def vanilla(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def folder(vanilla, tmp_path_factory):
    into = tmp_path_factory.mktemp("compiled")
    return compile_model(vanilla, targets.device("ml_c5"), Options(dtype="fp32"), None, None, into=into)


def photo(seed: int) -> bytes:
    return file_of(blocks(90, 120, seed), "JPEG", quality=95)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_answers_and_class_names_are_the_vanilla_models(folder, vanilla):
    compiled, eager = load(folder, cores=1), Eager.load(vanilla, "cpu")
    assert isinstance(compiled, Compiled)
    assert compiled.classes == models.CLASSES
    assert compiled.input.preprocess == models.PREPROCESS
    for seed in range(6):
        np.testing.assert_allclose(predict(compiled, photo(seed)), predict(eager, photo(seed)), atol=1e-5)
    assert "fp32 model compiled for ml_c5, 10 classes, on openvino" in compiled.description


def test_rows_of_a_batch_answer_as_alone(folder):
    compiled = load(folder, cores=1)
    pixels = np.concatenate([compiled.input.read(photo(seed), None) for seed in range(3)])
    alone = np.concatenate([predict(compiled, photo(seed)) for seed in range(3)])
    assert predict(compiled, npy(pixels)).tobytes() == alone.tobytes()
    assert predict(compiled, npy(pixels.transpose(0, 3, 1, 2).astype(np.float32))).tobytes() == alone.tobytes()


@pytest.mark.parametrize(("seconds", "threads"), [(0.0005, 1), (0.005, 2)])
def test_a_small_model_answers_on_one_thread(folder, monkeypatch, seconds, threads):
    asked = []
    real = registry.load_verified
    monkeypatch.setattr(
        registry, "load_verified", lambda record, settings: asked.append(settings) or real(record, settings)
    )
    ticks = itertools.count()
    Compiled.load(folder, cores=2, clock=lambda: next(ticks) * seconds)
    assert asked[-1].threads == threads


def without(name):
    return lambda folder: (folder / name).unlink()


def written(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def renamed_classes(folder):
    details = json.loads((folder / "darkroom.txt").read_bytes())
    (folder / "darkroom.txt").write_text(json.dumps(details | {"classes": ["one", "two"]}))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (without("compiled.onnx"), "holds no compiled.onnx"),
        (written("compiled.onnx", b"onnx"), "has 4 bytes, and compiled.json says"),
        (written("compiled.json", b"{"), "not readable as JSON"),
        (written("darkroom.txt", b"[]"), "not a record"),
        (written("darkroom.txt", b'{"preprocessing": {"sharpen": 1}}'), "understood are exactly"),
        (renamed_classes, "does not name the 10 classes"),
    ],
)
def test_a_damaged_artifact_is_refused_in_one_sentence(folder, tmp_path, harm, reason):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    harm(copy)
    with pytest.raises(UnusableModel, match=reason) as refusal:
        load(copy, cores=1)
    assert "\n" not in str(refusal.value)


def machine(site, installed):
    """What an interpreter without site-packages finds: these packages and nothing else."""
    site.mkdir()
    for path in SITE.iterdir():
        if path.name.removesuffix(".py") in installed:
            (site / path.name).symlink_to(path)
    (site / "darkroom").symlink_to(Path(darkroom.__file__).parent)
    return site


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return machine(tmp_path_factory.mktemp("machine") / "site", RUNTIME)


@pytest.fixture(scope="module")
def worker(folder, bare):
    worker = LiveWorker(folder, (sys.executable, "-S"), PYTHONPATH=str(bare))
    with contextlib.closing(worker):
        yield worker.ready()


@pytest.mark.slow
def test_a_machine_with_only_the_runtime_serves_it(worker, folder):
    expected = load(folder, cores=1)
    for seed in range(4):
        status, kind, body = worker.invoke(photo(seed))
        assert (status, kind) == (200, "application/json")
        np.testing.assert_allclose(json.loads(body), predict(expected, photo(seed))[0], atol=1e-6)
    assert "compiled for ml_c5" in worker.log


@pytest.mark.slow
@pytest.mark.skipif(not native.able(), reason=native.NEEDS)
def test_eight_bits_need_no_engine_installed(vanilla, tmp_path):
    photos = [photo(seed) for seed in range(8)]
    folder = compile_model(
        vanilla, targets.device("ml_c5"), Options(dtype="int8"), photos, None, into=tmp_path / "int8"
    )
    site = machine(tmp_path / "site", set(RUNTIME) - {"openvino"})
    expected = load(folder, cores=1)
    assert "on native" in expected.description
    with contextlib.closing(LiveWorker(folder, (sys.executable, "-S"), PYTHONPATH=str(site)).ready()) as worker:
        for seed in range(4):
            status, _, body = worker.invoke(photo(seed))
            assert status == 200
            np.testing.assert_allclose(json.loads(body), predict(expected, photo(seed))[0], atol=1e-6)


@pytest.mark.slow
def test_content_types_and_forms_of_answers(worker):
    plain = json.loads(worker.invoke(photo(1))[2])
    for declared in ("image/jpeg", "image/png", "application/octet-stream"):
        assert json.loads(worker.invoke(photo(1), declared)[2]) == plain
    named = json.loads(worker.invoke(photo(1), accept="application/jsonlines;verbose")[2])
    assert (named["probabilities"], named["labels"]) == (plain, list(models.CLASSES))
    assert json.loads(worker.invoke(photo(1), accept="application/jsonlines")[2]) == {"prediction": plain}
    pixels = models.PREPROCESS.apply(photo(1))
    for declared in ("application/x-npy", "application/vnd+python.numpy+binary"):
        assert json.loads(worker.invoke(npy(pixels), declared)[2]) == plain
        assert json.loads(worker.invoke(npy(pixels.transpose(2, 0, 1)[None].astype("f4")), declared)[2]) == plain
    listed = json.dumps(pixels.tolist()).encode()
    assert json.loads(worker.invoke(listed, "application/json")[2]) == plain
    status, kind, body = worker.invoke(npy(np.stack([pixels] * 2)), "application/x-npy", accept="application/x-npy")
    assert (status, kind) == (200, "application/x-npy")
    np.testing.assert_allclose(np.load(io.BytesIO(body), allow_pickle=False), [plain, plain], atol=1e-7)


@pytest.mark.slow
def test_refusals_say_what_was_found_and_what_was_expected(worker):
    assert worker.invoke(npy(np.zeros((1, 3, 224, 224), np.float32)), "application/x-npy")[::2] == (
        400,
        b"ClientError: unable to evaluate payload provided: found float32 of shape [1, 3, 224, 224]; expected uint8 or"
        b" float32 of shape [batch, 3, 32, 32] or [batch, 32, 32, 3], or one photo",
    )
    assert worker.invoke(photo(1)[:-600])[::2] == (
        400,
        b"ClientError: unable to evaluate payload provided: this JPEG is damaged; send the photo as a whole JPEG",
    )
    assert b"this PNG needs Pillow" in worker.invoke(file_of(blocks(9, 9, 0), "PNG"))[2]
    assert worker.invoke(b"1,2,3", "text/csv")[0] == 415


@pytest.mark.slow
def test_many_clients_each_get_their_own_answer(worker):
    expected = {seed: json.loads(worker.invoke(photo(seed))[2]) for seed in range(6)}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: (k % 6, json.loads(worker.invoke(photo(k % 6))[2])), range(60)))
    assert all(answer == expected[seed] for seed, answer in answers)


@pytest.mark.slow
def test_neither_torch_nor_pillow_is_imported_to_answer_a_photo(folder):
    """With everything installed: what a worker has mapped says what it imported."""
    with contextlib.closing(LiveWorker(folder).ready()) as worker:
        assert worker.invoke(photo(1))[0] == 200
        mapped = Path(f"/proc/{worker.process.pid}/maps").read_text()
    assert "/openvino/" in mapped
    assert not [name for name in ("/torch/", "/PIL/", "/onnx/", "/sqlalchemy/") if name in mapped]


def test_a_target_that_is_not_this_machine_is_said_when_it_is_deployed(folder: Path, tmp_path: Path) -> None:
    """It is served all the same: the file is portable."""
    moved = tmp_path / "model"
    shutil.copytree(folder, moved)
    record = json.loads((moved / "compiled.json").read_text())
    record |= {"target": "jetson_nano", "note": "jetson_nano is arm64; the file is portable"}
    (moved / "compiled.json").write_text(json.dumps(record))
    assert Compiled.load(moved, cores=1).description.endswith("Note: jetson_nano is arm64; the file is portable")
