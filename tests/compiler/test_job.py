"""``python -m darkroom.compiler``: a whole job in its folders, on a network that has learnt something."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom.compiler.evidence import gather
from darkroom.contract import exits
from darkroom.contract.layout import Layout
from darkroom.formats import recordio, writing
from darkroom.runtimes import artifact
from tests.compiler.conftest import Trained

pytestmark = pytest.mark.slow

INPUT = {"DataInputConfig": '{"data": [1, 3, 32, 32]}', "Framework": "MXNET"}


def job(base: Path, model: Path, channels: dict[str, Path], **output: str) -> subprocess.CompletedProcess[str]:
    data = base / "input" / "data"
    shutil.copytree(model, data / "model")
    for name, folder in channels.items():
        shutil.copytree(folder, data / name)
    (base / "input" / "config").mkdir()
    request = {"InputConfig": INPUT, "OutputConfig": {"TargetDevice": "ml_c5", **output}}
    (base / "input" / "config" / "compilation.json").write_text(json.dumps(request))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "darkroom.compiler"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def report(base: Path) -> dict[str, Any]:
    return json.loads((base / "model" / "compilation-report.json").read_text())


def test_with_the_channels_of_its_training_job(trained: Trained, tmp_path: Path) -> None:
    data = trained.model.parent / "input" / "data"
    done = job(tmp_path, trained.model, {"train": data / "train", "validation": data / "validation"})
    assert done.returncode == exits.OK, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == "Compilation starts"
    assert "Calibrates on the train channel" in done.stdout
    said = report(tmp_path)
    assert (said["dtype"], said["photos"]["validation"]) == ("int8", len(trained.validation))
    assert said["verdict"]["accepted"]
    assert said["verdict"]["accuracy_reference"] > 0.5  # it has learnt something
    assert artifact.read(tmp_path / "model").target == "ml_c5"


def test_without_lineage_it_stays_in_fp32(trained: Trained, tmp_path: Path) -> None:
    done = job(tmp_path, trained.model, {})
    assert done.returncode == exits.OK, done.stdout + done.stderr
    assert "No photos are at hand" in done.stdout
    assert report(tmp_path)["dtype"] == "fp32"


def test_a_prefix_to_calibrate_on(trained: Trained, tmp_path: Path) -> None:
    folder = trained.model.parent / "input" / "data" / "train"
    done = job(tmp_path, trained.model, {"calibration": folder}, CompilerOptions='{"dtype": "int8"}')
    assert done.returncode == exits.OK, done.stdout + done.stderr
    said = report(tmp_path)
    assert (said["dtype"], said["photos"]["calibration"]) == ("int8", len(trained.training))
    assert said["verdict"]["accuracy"] is None  # nobody said what is on the photos


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"TargetDevice": "ml_toaster!"}, "ClientError: TargetDevice 'ml_toaster!' is not known; expected one of: "),
        ({"CompilerOptions": '{"dtype": "int3"}'}, "ClientError: CompilerOptions: dtype is 'int3'; expected one of "),
        ({"CompilerOptions": '{"dtype": "int8"}'}, "ClientError: int8 needs at least 8 photos to calibrate on"),
    ],
)
def test_what_cannot_be_done_says_why(trained: Trained, tmp_path: Path, output: dict[str, str], reason: str) -> None:
    done = job(tmp_path, trained.model, {}, **output)
    assert done.returncode == exits.CLIENT_ERROR
    assert (tmp_path / "output" / "failure").read_text().startswith(reason)
    assert done.stderr.startswith(reason)
    assert not (tmp_path / "model" / artifact.MANIFEST).exists()


def test_evidence_in_records_and_lists(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    train, validation, lists = (layout.channel(name) for name in ("train", "validation", "validation_lst"))
    for folder in (train, validation, lists):
        folder.mkdir(parents=True)
    with writing.RecordWriter(train / "a.rec") as writer:
        for label in (0, 1):
            writer.write(recordio.pack_image(recordio.ImageHeader(label=[label], id=label), b"photo %d" % label))
    (train / "broken.rec").write_bytes(b"no record at all")
    (validation / "b.jpg").write_bytes(b"b")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (lists / "x.lst").write_text("0\t1\tb.jpg\n1\t0\t../../../secret.jpg\n2\t0\tmissing.jpg\n")
    found = gather(layout, multi_label=False)
    assert list(found.calibration or []) == [b"photo 0", b"photo 1"]
    assert list(found.validation or []) == [(b"b", 1)]
